package state

import (
	"encoding/json"
	"errors"

	"archy-recovery/internal/recover"
)

// Snapshot returns the last good snapshot. The errors are recover.ErrNone where there
// never was one, and recover.ErrLost where no generation can be read.
func (d *Dir) Snapshot() (recover.Snapshot, error) {
	return load(d, snapshotFile, parseSnapshot)
}

// SaveSnapshot replaces the snapshot.
func (d *Dir) SaveSnapshot(s recover.Snapshot) error {
	if s.Containers == nil {
		s.Containers = []recover.Container{} // null is damage, see parseSnapshot
	}
	return save(d, snapshotFile, s, parseSnapshot)
}

// parseSnapshot reads {"timestamp":…,"containers":[{"name":…,"image":…}]}. The file has the
// shape of recover.Snapshot itself, so every field of a container is kept. Unknown fields
// are ignored. An invalid name makes the whole file invalid: neither this program nor the
// old module writes one.
func parseSnapshot(content []byte) (recover.Snapshot, error) {
	var s recover.Snapshot
	if err := json.Unmarshal(content, &s); err != nil {
		return recover.Snapshot{}, err
	}
	if s.Containers == nil {
		return recover.Snapshot{}, errors.New("no member \"containers\"")
	}
	for i := range s.Containers {
		c := &s.Containers[i]
		if err := recover.CheckName(c.Name); err != nil {
			return recover.Snapshot{}, err
		}
		if c.Tier != nil && (*c.Tier < 0 || *c.Tier > recover.MaxTier) {
			c.Tier = nil // as with an invalid label
		}
	}
	return s, nil
}
