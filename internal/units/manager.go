// Package units drives a systemd manager over D-Bus: it finds the units that
// run containers, starts them and waits for their jobs, and writes units for
// containers that have none. org.freedesktop.systemd1(5) is its reference.
package units

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// SystemBus is where the system manager is reached.
const SystemBus = "unix:path=/run/dbus/system_bus_socket"

// UserBus is where the manager of a user is reached (pam_systemd(8),
// XDG_RUNTIME_DIR).
func UserBus(uid int) string { return fmt.Sprintf("unix:path=/run/user/%d/bus", uid) }

// A Manager is one systemd manager. It implements recover.Systemd. It connects
// when it is first used, and again after its bus went away; no lock is held
// during a call.
type Manager struct {
	address    string // of the bus
	hostBus    string // of the bus of the system manager
	runtimeDir string // where units live until the next boot
	ownUnit    string // the unit that we are, "" if this manager does not run us

	mu   sync.Mutex
	link *link
}

// New returns a Manager for the systemd on the bus at address. runtimeDir is
// its runtime unit directory (systemd.unit(5)); ownUnit the unit of this
// manager that we are, or "".
func New(address, runtimeDir, ownUnit string) *Manager {
	return &Manager{address: address, hostBus: SystemBus, runtimeDir: runtimeDir, ownUnit: ownUnit}
}

// Close ends the connection.
func (m *Manager) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.link != nil {
		m.link.conn.Close()
		m.link = nil
	}
}

// host is the system manager: this one, or for a user's another, which is
// connected only while it is needed.
func (m *Manager) host() hostManager {
	if m.address == m.hostBus {
		return hostManager{m, func() {}}
	}
	host := New(m.hostBus, "", "")
	return hostManager{host, host.Close}
}

type hostManager struct {
	*Manager
	done func()
}

func noBus(address string, err error) error {
	return fmt.Errorf("%w at %s: %w", recover.ErrNoBus, address, err)
}

// connect returns the live connection, making one if need be. Errors wrap
// recover.ErrNoBus.
func (m *Manager) connect(ctx context.Context) (*link, error) {
	m.mu.Lock()
	l := m.link
	m.mu.Unlock()
	if l != nil && l.alive() {
		return l, nil
	}
	fresh, err := newLink(ctx, m.address)
	if err != nil {
		return nil, noBus(m.address, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.link != nil && m.link.alive() { // another call was faster
		fresh.conn.Close()
		return m.link, nil
	}
	m.link = fresh
	return fresh, nil
}

// States returns the state of each unit in one call, which loads those that
// are not loaded. (Manager.ListUnitsByNames)
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

// listedUnit is the (ssssssouso) of Manager.ListUnits and its kin.
type listedUnit struct {
	Name, Description, Load, Active, Sub, Following string
	Path                                            dbus.ObjectPath
	JobID                                           uint32
	JobType                                         string
	JobPath                                         dbus.ObjectPath
}

// listByNames answers under the names that were asked for: systemd answers an
// alias with the unit's own name. Names that are no unit names are left out.
func (m *Manager) listByNames(ctx context.Context, units []string) (map[string]listedUnit, error) {
	var names []string
	for _, u := range units {
		if checkUnit(u) == nil {
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
	var listed []listedUnit
	if err := l.call(ctx, managerPath, managerIfc+".ListUnitsByNames", names).Store(&listed); err != nil {
		return nil, l.explain(err)
	}
	if len(listed) != len(names) {
		return nil, fmt.Errorf("systemd answered for %d of %d units", len(listed), len(names))
	}
	byName := make(map[string]listedUnit, len(names))
	for i, u := range listed { // in the order in which they were asked for
		byName[names[i]] = u
	}
	return byName, nil
}

// Failure says why a service or socket has failed, such as start-limit-hit, and
// "" of one that has not. (Service.Result, Socket.Result)
func (m *Manager) Failure(ctx context.Context, unit string) (string, error) {
	listed, err := m.listByNames(ctx, []string{unit})
	if err != nil || listed[unit].Active != "failed" {
		return "", err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return "", err
	}
	iface := serviceIfc
	if strings.HasSuffix(unit, ".socket") {
		iface = systemd + ".Socket"
	}
	return l.getString(ctx, listed[unit].Path, iface, "Result")
}

// reload has the manager read its unit files again. (Manager.Reload)
func (m *Manager) reload(ctx context.Context) error {
	l, err := m.connect(ctx)
	if err != nil {
		return err
	}
	if err := l.call(ctx, managerPath, managerIfc+".Reload").Err; err != nil {
		return fmt.Errorf("cannot reload systemd: %w", l.explain(err))
	}
	return nil
}

// SoftReboots is how many soft-reboots this boot has seen; systemd before 256
// has none and does not count. (Manager.SoftRebootsCount)
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
