// Package labels reads the labels of podman containers. podman shows the same
// labels in its API and in its events, so two packages need the same reading.
package labels

import "archy-recovery/internal/recover"

// unit is the label with which podman and Quadlet name the systemd unit that runs
// a container (podman-auto-update(1)).
const unit = "PODMAN_SYSTEMD_UNIT"

// Read sets the fields of a container that its labels give: the unit, the tier, what waits
// for its health, and what it needs by compose. A label with another value counts as no
// label. Read does not check the unit: an image can bring any label with it (see
// recover.Believe).
func Read(c *recover.Container, labels map[string]string) {
	c.Unit = labels[unit]
	c.Tier = nil
	if tier, err := recover.ParseTier(labels[recover.TierLabel]); err == nil {
		c.Tier = &tier
	}
	c.Wait = recover.ParseWait(labels[recover.WaitLabel])
	c.Compose = recover.ParseCompose(labels)
}
