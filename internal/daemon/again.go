package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/diagnosis"
	"archy-recovery/internal/recover/engine"
)

// vetoRetry says why a container is not tried again now, after READY: something else has
// started it or is about to, or somebody has ended the tries. To stop what is down leaves no
// other trace than these.
func (s *starter) vetoRetry(ctx context.Context, row recover.Row) error {
	if row.Retry == nil {
		return nil
	}
	now, err := s.world.Podman.Inspect(ctx, row.Name)
	runs := err == nil && now.Running()
	if row.Generated && errors.Is(err, recover.ErrNoContainer) {
		return &engine.RetryOver{Why: "it was removed", Stopped: true}
	}
	var unit recover.UnitState
	if !row.Generated { // what cannot be asked delays nothing
		states, _ := s.world.Systemd.States(ctx, []string{row.Unit})
		unit = states[row.Unit]
	}
	switch {
	case unit.Returning(): // its container may run already, and is not ready
		return recover.ErrReturning
	case runs, unit.Active == "active", unit.Active == "reloading":
		return recover.ErrRuns
	case unit.Active == "": // not known, or of no interest
		return nil
	case row.Retry.ByHand:
		return nil
	case row.Retry.SeenFailed && unit.Loaded && unit.Active == "inactive":
		return &engine.RetryOver{Why: engine.RetryReset}
	case s.knows(row.Name).enabled && s.disabled(ctx, row.Unit):
		return &engine.RetryOver{Why: "its unit was disabled (systemctl disable)"}
	}
	return nil
}

// disabled reports whether a unit is known not to be enabled.
func (s *starter) disabled(ctx context.Context, unit string) bool {
	enabled, err := s.world.Autostart.Enabled(ctx, unit)
	return err == nil && !enabled
}

// learnEnabled asks once whether the unit of a container that has failed is enabled: if it is
// disabled later, somebody does not want it.
func (s *starter) learnEnabled(ctx context.Context, row recover.Row) {
	if s.world.Autostart == nil || row.Unit == "" || row.Generated || len(row.Attempts) != 1 {
		return
	}
	if enabled, err := s.world.Autostart.Enabled(ctx, row.Unit); err == nil {
		s.learn(row.Name, func(c *startedContainer) { c.enabled = enabled })
	}
}

// AwaitLacking returns when the mount points are mounted. Without any it returns when the image is
// there, if that was missing, else when something is mounted at the sources of the bind mounts.
func (s *starter) AwaitLacking(ctx context.Context, row recover.Row, points []string) error {
	err := s.awaitLacking(ctx, row, points)
	if err != nil && ctx.Err() == nil {
		s.world.Log.Debug("what a container lacks cannot be awaited", "container", row.Name, "error", err)
	}
	return err
}

func (s *starter) awaitLacking(ctx context.Context, row recover.Row, points []string) error {
	if len(points) > 0 {
		return s.world.Systemd.AwaitMounts(ctx, points)
	}
	if last := row.LastAttempt(); last != nil && last.Why != nil && lacksImage(last.Why.Reason) {
		return s.awaitImage(ctx, row.Image)
	}
	paths, byManager := s.mountsNeeded(ctx, row)
	paths = append(paths, byManager...) // it mounts what is configured, and a person may mount the rest
	if len(paths) == 0 {
		return errors.New("what it mounts is not known")
	}
	return s.world.Systemd.AwaitMountAbove(ctx, paths)
}

// awaitImage returns when podman has an image. podman tells nobody, but the unit that syncs new
// images runs for each.
func (s *starter) awaitImage(ctx context.Context, image string) error {
	root := s.world.storage.where()
	if root == "" { // it is found with the first looks after READY
		root, _ = s.world.Podman.GraphRoot(ctx)
	}
	if s.world.StorageUnits == nil || root == "" || image == "" {
		return errors.New("nothing tells of new images")
	}
	return s.world.StorageUnits.AwaitImages(ctx, root, func() bool {
		has, err := s.world.Podman.HasImage(ctx, image)
		return err == nil && has
	})
}

// lacksImage reports whether a cause of a failed start is that an image is not there.
func lacksImage(reason string) bool {
	return reason == diagnosis.ImageMissing || strings.HasPrefix(reason, "pull-")
}

// mountsNeeded are the paths on the host that the container of a row mounts, as far as they
// can be asked, and those that its manager mounts itself. A Quadlet container is gone, and its
// unit knows; a plain one has no unit that does.
func (s *starter) mountsNeeded(ctx context.Context, row recover.Row) (paths, byManager []string) {
	binds, _ := s.world.Podman.Binds(ctx, row.Name)
	needed, _ := s.world.Systemd.MountsNeeded(ctx, row.Unit)
	paths = slices.Concat(binds, needed.Paths)
	for _, volume := range needed.Volumes {
		if device, err := s.world.Podman.VolumeDevice(ctx, volume); err == nil && device != "" {
			paths = append(paths, device)
		}
	}
	return paths, needed.ByManager
}
