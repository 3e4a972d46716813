package units

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"
)

// A Storage starts the units that work in podman's storage. They belong to the manager that
// runs the containers: only that one runs them as the storage's owner, with its home.
type Storage struct{ manager *Manager }

// NewStorage returns the storage units of a manager.
func NewStorage(m *Manager) Storage { return Storage{m} }

// WatchImages has the file system of the graph root synced soon after each image that
// comes, until the manager ends. Errors are those of Manager.Start.
func (s Storage) WatchImages(ctx context.Context, root string) error {
	return s.start(ctx, "archy-recovery-sync", root, ".path", "active")
}

// Sync syncs the file system of the graph root, and returns when that is done. Errors are
// those of Manager.Start, or that the unit failed.
func (s Storage) Sync(ctx context.Context, root string) error {
	return s.start(ctx, "archy-recovery-sync", root, ".service", "inactive")
}

// RunCheck runs the unit that looks for what a crash damaged in the storage, and returns when
// it has written its answer. Errors are as for Sync.
func (s Storage) RunCheck(ctx context.Context, root string) error {
	return s.start(ctx, "archy-recovery-check", root, ".service", "inactive")
}

// start starts the instance of a template for a graph root, which then has to be in a state.
func (s Storage) start(ctx context.Context, template, root, suffix, want string) error {
	if !path.IsAbs(root) || path.Clean(root) != root || strings.ContainsAny(root, "\n\x00") {
		return fmt.Errorf("%q is no clean absolute path", root)
	}
	name := template + "@" + unit.UnitNamePathEscape(root) + suffix
	outcome, err := s.manager.Start(ctx, name)
	if err == nil && outcome.Active != want {
		err = fmt.Errorf("%s: job %s, unit %s %s", name, outcome.Job, outcome.Active, outcome.Result)
	}
	return err
}
