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
	return s.start(ctx, syncUnit, root, ".path", "active")
}

// AwaitImages returns when done reports true. It calls done at once, and again when the unit
// that WatchImages has started for new images begins, and ends. Errors are recover.ErrNoBus,
// and that of ctx.
func (s Storage) AwaitImages(ctx context.Context, root string, done func() bool) error {
	name, err := instanceOf(syncUnit, root, ".service")
	if err != nil {
		return err
	}
	syncs := func(unit string) bool { return unit == name }
	return awaitUnits(ctx, s.manager.address, syncs, func(*link) (bool, error) { return done(), nil })
}

// Sync syncs the file system of the graph root, and returns when that is done. Errors are
// those of Manager.Start, or that the unit failed.
func (s Storage) Sync(ctx context.Context, root string) error {
	return s.start(ctx, syncUnit, root, ".service", "inactive")
}

// RunCheck runs the unit that looks for what a crash damaged in the storage, and returns when
// it has written its answer. Errors are as for Sync.
func (s Storage) RunCheck(ctx context.Context, root string) error {
	return s.start(ctx, "archy-recovery-check", root, ".service", "inactive")
}

// syncUnit is the template of the units that sync the file system of a graph root.
const syncUnit = "archy-recovery-sync"

// start starts the instance of a template for a graph root, which then has to be in a state.
func (s Storage) start(ctx context.Context, template, root, suffix, want string) error {
	name, err := instanceOf(template, root, suffix)
	if err != nil {
		return err
	}
	return startInto(ctx, s.manager, name, want)
}

// RunNetworkCheck runs the unit that looks at the rules of podman's networks, and returns when it
// has written its answer. Errors are as for Storage.Sync.
func RunNetworkCheck(ctx context.Context, m *Manager) error {
	return startInto(ctx, m, "archy-recovery-network-check.service", "inactive")
}

// startInto starts a unit, which then has to be in a state.
func startInto(ctx context.Context, m *Manager, name, want string) error {
	outcome, err := m.Start(ctx, name)
	if err == nil && outcome.Active != want {
		err = fmt.Errorf("%s: job %s, unit %s %s", name, outcome.Job, outcome.Active, outcome.Result)
	}
	return err
}

// instanceOf is the name of a template's instance for a graph root.
func instanceOf(template, root, suffix string) (string, error) {
	if !path.IsAbs(root) || path.Clean(root) != root || strings.ContainsAny(root, "\n\x00") {
		return "", fmt.Errorf("%q is no clean absolute path", root)
	}
	return template + "@" + unit.UnitNamePathEscape(root) + suffix, nil
}
