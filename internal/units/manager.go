// Package units drives a systemd manager over D-Bus. It finds the units that run containers, starts
// them, waits for their jobs, and installs units for containers without one. Its reference is
// org.freedesktop.systemd1(5), whose methods and properties the comments name.
package units

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

const (
	systemd     = "org.freedesktop.systemd1"
	managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerIfc  = systemd + ".Manager"
	unitIfc     = systemd + ".Unit"
	serviceIfc  = systemd + ".Service"
	jobIfc      = systemd + ".Job"
)

// SystemBus is the D-Bus address of the system manager.
const SystemBus = "unix:path=/run/dbus/system_bus_socket"

// UserBus returns the D-Bus address of a user's manager (pam_systemd(8), XDG_RUNTIME_DIR).
func UserBus(uid int) string { return fmt.Sprintf("unix:path=/run/user/%d/bus", uid) }

// A Manager is a systemd manager. It implements recover.Systemd. It connects at its first use, and
// again after its bus has ended. It holds no lock during a call.
type Manager struct {
	follower
	host       host   // the system manager, if this is a user's
	address    string // of the bus
	hostBus    string // of the bus of the system manager
	runtimeDir string // the directory of units that end with the boot
	ownUnit    string // the unit of this process, "" if it is not one of this manager
	asksOnly   bool   // it starts nothing and needs no signals

	mu   sync.Mutex
	link *link
}

// New returns a Manager for the systemd on the bus at address. ownUnit is the unit of this process, or ""
// if that is not a unit of this manager. runtimeDir is the runtime unit directory of systemd.unit(5).
func New(address, runtimeDir, ownUnit string) *Manager {
	return &Manager{
		follower: follower{bus: address},
		address:  address, hostBus: SystemBus, runtimeDir: runtimeDir, ownUnit: ownUnit,
	}
}

// Close ends the connections.
func (m *Manager) Close() {
	m.stopFollowing()
	m.host.close()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.link != nil {
		m.link.conn.Close()
		m.link = nil
	}
}

// noBus returns an error that wraps recover.ErrNoBus.
func noBus(address string, err error) error {
	return fmt.Errorf("%w at %s: %w", recover.ErrNoBus, address, err)
}

// connect returns the live connection, or else a new one. Errors wrap recover.ErrNoBus.
func (m *Manager) connect(ctx context.Context) (*link, error) {
	m.mu.Lock()
	l := m.link
	m.mu.Unlock()
	if l != nil && l.alive() {
		return l, nil
	}
	fresh, err := newLink(ctx, m.address, m.asksOnly)
	if err != nil {
		return nil, noBus(m.address, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.link != nil && m.link.alive() { // another call has connected
		fresh.conn.Close()
		return m.link, nil
	}
	m.link = fresh
	return fresh, nil
}

// States returns the state of each unit. It makes one call, which loads units that are not loaded
// (Manager.ListUnitsByNames).
func (m *Manager) States(ctx context.Context, units []string) (map[string]recover.UnitState, error) {
	listed, err := m.listByNames(ctx, units)
	if err != nil {
		return nil, err
	}
	states := make(map[string]recover.UnitState, len(listed))
	for asked, u := range listed {
		states[asked] = recover.UnitState{Loaded: u.Load == "loaded", Active: u.Active, Sub: u.Sub, Job: u.JobType}
	}
	return states, nil
}

// A listedUnit is an entry of Manager.ListUnitsByNames and ListUnitsByPatterns, of type (ssssssouso).
type listedUnit struct {
	Name, Description, Load, Active, Sub, Following string
	Path                                            dbus.ObjectPath
	JobID                                           uint32
	JobType                                         string
	JobPath                                         dbus.ObjectPath
}

// askedTargets are the targets whose states tell where a boot stands (systemd.special(7)). Other targets are
// invalid names here: a container may not name one as its unit.
var askedTargets = map[string]bool{"shutdown.target": true, "sockets.target": true, multiUser: true}

// listByNames returns the units by the names in the question. systemd answers an alias with the name of
// its unit. Invalid names are left out.
func (m *Manager) listByNames(ctx context.Context, units []string) (map[string]listedUnit, error) {
	var names []string
	for _, u := range units {
		if checkUnit(u) == nil || askedTargets[u] {
			names = append(names, u)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	l, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	listed, err := l.listByNames(ctx, names)
	if err != nil {
		return nil, err
	}
	byName := make(map[string]listedUnit, len(names))
	for i, u := range listed { // they have the order of the names
		byName[names[i]] = u
	}
	return byName, nil
}

// listByNames returns the units by valid names, in their order (Manager.ListUnitsByNames).
func (l *link) listByNames(ctx context.Context, names []string) ([]listedUnit, error) {
	var listed []listedUnit
	if err := l.call(ctx, managerPath, managerIfc+".ListUnitsByNames", names).Store(&listed); err != nil {
		return nil, l.explain(err)
	}
	if len(listed) != len(names) {
		return nil, fmt.Errorf("systemd answered for %d of %d units", len(listed), len(names))
	}
	return listed, nil
}

// list returns one unit by its valid name.
func (l *link) list(ctx context.Context, unit string) (listedUnit, error) {
	listed, err := l.listByNames(ctx, []string{unit})
	if err != nil {
		return listedUnit{}, err
	}
	return listed[0], nil
}

// SoftReboots returns the number of soft-reboots of this boot (Manager.SoftRebootsCount). It is 0 with
// systemd before 256, which does not count them.
func (m *Manager) SoftReboots(ctx context.Context) (uint64, error) {
	l, err := m.connect(ctx)
	if err != nil {
		return 0, err
	}
	v, err := l.get(ctx, managerPath, managerIfc, "SoftRebootsCount")
	var unknown dbus.Error
	if errors.As(err, &unknown) && unknown.Name == "org.freedesktop.DBus.Error.UnknownProperty" {
		return 0, nil
	}
	if err != nil {
		return 0, l.explain(err)
	}
	switch n := v.Value().(type) {
	case uint32:
		return uint64(n), nil
	case uint64:
		return n, nil
	}
	return 0, fmt.Errorf("SoftRebootsCount is a %s", v.Signature())
}
