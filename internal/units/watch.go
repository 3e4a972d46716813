package units

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// Watch watches the units that run a container, and the scopes of containers without a unit
// (libpod-ID.scope), until ctx ends. It uses a connection of its own. Errors wrap recover.ErrNoBus.
func (m *Manager) Watch(ctx context.Context) (recover.Watch, error) {
	w := &watcher{
		manager:    m,
		ctx:        ctx,
		changes:    make(chan struct{}, 1),
		states:     map[dbus.ObjectPath]string{},
		restarts:   map[dbus.ObjectPath]uint32{},
		containers: map[string]containerKind{},
		starting:   map[dbus.ObjectPath]bool{},
		again:      newStoppedTimer(),
		connected:  make(chan struct{}),
	}
	connecting, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := dial(connecting, m.address, w.listen, [][]dbus.MatchOption{
		changesOf(unitIfc),    // their states
		changesOf(serviceIfc), // restarts, and other main processes
		{
			dbus.WithMatchSender(systemd),
			dbus.WithMatchInterface(managerIfc),
			dbus.WithMatchMember("Reloading"),
		},
	})
	if err != nil {
		return nil, noBus(m.address, err)
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	w.link = &link{conn: conn}
	close(w.connected)
	return w, nil
}

// changesOf matches the signals of units that change a property of an interface.
func changesOf(iface string) []dbus.MatchOption {
	return []dbus.MatchOption{
		dbus.WithMatchSender(systemd),
		dbus.WithMatchInterface("org.freedesktop.DBus.Properties"),
		dbus.WithMatchMember("PropertiesChanged"),
		dbus.WithMatchPathNamespace(managerPath + "/unit"),
		dbus.WithMatchArg(0, iface),
	}
}

// changedIn returns what a signal PropertiesChanged tells: the interface and its properties, none if the
// signal has another form. It does not copy them: a unit's signal has all its properties.
func changedIn(sig *dbus.Signal) (iface string, values map[string]dbus.Variant) {
	if len(sig.Body) < 2 {
		return "", nil
	}
	iface, _ = sig.Body[0].(string)
	values, _ = sig.Body[1].(map[string]dbus.Variant)
	return iface, values
}

// A watcher filters the signals of one connection. It implements recover.Watch.
type watcher struct {
	manager   *Manager
	link      *link
	connected chan struct{} // closed once link is set
	ctx       context.Context
	changes   chan struct{}
	// reached: a look has seen that the host had reached multi-user.target. Until then, exit is when the host
	// had last left it before the first look.
	reached atomic.Bool
	exit    atomic.Pointer[uint64]
	states  map[dbus.ObjectPath]string // the last known state of each unit
	// restarts has the last known NRestarts of each service that systemd has restarted.
	restarts map[dbus.ObjectPath]uint32
	// containers says of a service whether it runs a container, once that was asked.
	containers map[string]containerKind
	// starting has the services that run to their end and are activating. again reports a change for them
	// after pause.
	starting map[dbus.ObjectPath]bool
	again    *time.Timer
	pause    time.Duration
}

// A containerKind says whether a service runs a container, and whether that runs to its end.
type containerKind struct{ runs, job bool }

// lookForJob is the time from the start of a job's unit to the first look for its container. Each further
// look comes after twice that time: podman may pull the image first.
const lookForJob = time.Second

// newStoppedTimer returns a timer that does not run.
func newStoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// Changes returns a channel that gets a value when a unit or scope became active, inactive or failed,
// or when systemd restarted a service (PropertiesChanged of Unit.ActiveState and Service.NRestarts).
//
// The unit of a job is activating before its container exists, and until that has ended. Nothing tells when
// the container starts, if podman runs it without a scope (--cgroups=split). So the channel also gets values
// while such a unit is activating, fewer and fewer of them.
func (w *watcher) Changes() <-chan struct{} { return w.changes }

// GoingDown reports whether the watched manager or the host's manager is stopping (Manager.SystemState).
func (w *watcher) GoingDown(ctx context.Context) (bool, error) {
	down, err := w.link.stopping(ctx)
	if err != nil || down || w.manager.address == w.manager.hostBus {
		return down, err
	}
	l, done, err := w.manager.askHost(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	return l.stopping(ctx)
}

// multiUser stops when the host goes down, or changes to another target (systemd.special(7)).
const multiUser = "multi-user.target"

// LeftTarget reports whether the host has left multi-user.target since the watch began, or is about to
// (Manager.ListUnitsByNames). A host that never reached it has left nothing.
func (w *watcher) LeftTarget(ctx context.Context) (bool, error) {
	l := w.link
	if w.manager.address != w.manager.hostBus {
		ofHost, done, err := w.manager.askHost(ctx)
		if err != nil {
			return false, err
		}
		defer done()
		l = ofHost
	}
	target, err := l.list(ctx, multiUser)
	switch {
	case err != nil:
		return false, err
	case target.JobType == "stop":
		return true, nil
	case target.Active == "active":
		w.reached.Store(true)
		return false, nil
	case target.Active != "inactive":
		return false, nil
	case w.reached.Load():
		return true, nil // also if the host is about to come back: it may stop containers still
	}
	// No look has seen it active. It may have been, between two looks.
	v, err := l.get(ctx, target.Path, unitIfc, "ActiveExitTimestampMonotonic")
	if err != nil {
		return false, l.explain(err)
	}
	exit, _ := v.Value().(uint64) // in µs, 0 if it was never active
	first := w.exit.CompareAndSwap(nil, &exit)
	return !first && *w.exit.Load() != exit, nil
}

// stopping reports whether the manager is stopping.
func (l *link) stopping(ctx context.Context) (bool, error) {
	state, err := l.getString(ctx, managerPath, managerIfc, "SystemState")
	return state == "stopping", l.explain(err)
}

// listen reports changes until the connection ends, which closes signals.
func (w *watcher) listen(signals <-chan *dbus.Signal) {
	defer close(w.changes)
	defer w.again.Stop()
	connected := w.connected
	for {
		select {
		case sig, open := <-signals:
			switch {
			case !open:
				return
			case sig.Name == managerIfc+".Reloading":
				clear(w.containers) // a unit may run another program now
				continue
			case !w.changed(sig):
				continue
			}
		case <-connected:
			connected = nil
			w.findStarting()
			continue
		case <-w.again.C:
			w.pause *= 2
			w.again.Reset(w.pause)
		}
		select {
		case w.changes <- struct{}{}:
		default: // an earlier value was not taken yet
		}
	}
}

// findStarting notes the jobs whose units were activating before the watch.
func (w *watcher) findStarting() {
	units, _ := w.link.listByPattern(w.ctx, "*.service", "activating") // without them their ends are still told
	for _, u := range units {
		if w.kindOf(u.Name).job {
			w.begins(u.Path)
		}
	}
}

// begins has changes reported for a job while its unit is activating.
func (w *watcher) begins(job dbus.ObjectPath) {
	w.starting[job] = true
	w.pause = lookForJob
	w.again.Reset(w.pause)
}

// ends says that the unit of a job is not activating any more.
func (w *watcher) ends(job dbus.ObjectPath) {
	delete(w.starting, job)
	if len(w.starting) == 0 {
		w.again.Stop()
	}
}

// changed reports whether a signal says that a container started, stopped or is being restarted.
func (w *watcher) changed(sig *dbus.Signal) bool {
	iface, values := changedIn(sig)
	unit := unitOf(sig.Path)
	if restarts, ok := values["NRestarts"].Value().(uint32); ok && iface == serviceIfc {
		return w.restarted(sig.Path, unit, restarts)
	}
	state, ok := values["ActiveState"].Value().(string)
	if !ok {
		return false
	}
	scope := strings.HasPrefix(unit, "libpod-") && strings.HasSuffix(unit, ".scope")
	if !scope && !strings.HasSuffix(unit, ".service") {
		return false
	}
	switch state {
	case "active", "inactive", "failed":
		w.ends(sig.Path)
	case "activating":
		if !scope && !w.starting[sig.Path] && w.kindOf(unit).job {
			w.begins(sig.Path)
		}
		return false
	default:
		return false // it is changing to one of these
	}
	if w.states[sig.Path] == state || !scope && !w.kindOf(unit).runs {
		return false
	}
	if state == "inactive" {
		delete(w.states, sig.Path) // else the map would grow with each scope
		return true
	}
	w.states[sig.Path] = state
	return true
}

// restarted reports whether NRestarts of a service that runs a container has grown. With RestartMode=direct
// the service becomes neither inactive nor failed meanwhile.
func (w *watcher) restarted(path dbus.ObjectPath, unit string, restarts uint32) bool {
	before := w.restarts[path]
	if restarts == before {
		return false
	}
	if w.restarts[path] = restarts; restarts == 0 {
		delete(w.restarts, path)
	}
	if restarts < before || !w.kindOf(unit).runs {
		return false // it was started by hand, which its state tells
	}
	if w.starting[path] {
		w.begins(path) // another container comes
	}
	delete(w.states, path) // so that the next signal of the active unit counts: the container runs again
	return true
}

// kindOf reports whether a service runs a container. It asks systemd once for each service, and again after
// a reload.
func (w *watcher) kindOf(unit string) containerKind {
	known, ok := w.containers[unit]
	if ok {
		return known
	}
	found, err := w.manager.ContainerUnits(w.ctx, []string{unit})
	if err != nil {
		return containerKind{runs: true} // unknown: a change too many does no harm
	}
	kind := containerKind{runs: len(found) > 0}
	for _, u := range found {
		kind.job = kind.job || u.Job
	}
	w.containers[unit] = kind
	return kind
}
