package units

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// emitState emits PropertiesChanged with the state of a unit.
func (f *fakeSystemd) emitState(unit, active string) {
	_ = f.conn.Emit(unitPath(unit), "org.freedesktop.DBus.Properties.PropertiesChanged", unitIfc,
		map[string]dbus.Variant{"ActiveState": dbus.MakeVariant(active)}, []string{})
}

func TestWatchChanges(t *testing.T) {
	t.Parallel()
	const app, scope = "app.service", "libpod-fb7ac3a73716.scope"
	type signal struct{ unit, state string }
	for name, c := range map[string]struct {
		signals []signal
		want    bool
	}{
		"container service active":   {[]signal{{app, "activating"}, {app, "active"}}, true},
		"container service failed":   {[]signal{{app, "failed"}}, true},
		"container service inactive": {[]signal{{app, "deactivating"}, {app, "inactive"}}, true},
		"container scope inactive":   {[]signal{{scope, "inactive"}}, true},
		"states in between":          {[]signal{{app, "activating"}, {app, "reloading"}, {scope, "deactivating"}}, false},
		"other service":              {[]signal{{"ssh.service", "active"}, {"gone.service", "failed"}}, false},
		"other scope":                {[]signal{{"session-3.scope", "active"}}, false},
		"conmon":                     {[]signal{{"libpod-conmon-fb7ac3a73716.service.slice", "active"}}, false},
		"other types of units":       {[]signal{{"app.timer", "active"}, {"app.mount", "failed"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			f.set(app, "active", "running", execStart("/usr/bin/podman start app"))
			f.set("ssh.service", "active", "running", execStart("/usr/sbin/sshd -D"))
			f.set("end.service", "active", "running", execStart("/usr/bin/podman start end"))
			changes := watch(soon(t), t, m).Changes()
			for _, s := range c.signals {
				f.emitState(s.unit, s.state)
			}
			if c.want {
				await(t, changes, "the change")
				return
			}
			// The next change arrives, so an earlier one would have arrived too.
			f.emitState("end.service", "failed")
			await(t, changes, "the change of end.service")
			syncReplies(t, m)
			select {
			case <-changes:
				t.Error("the watch reports a change")
			default:
			}
		})
	}
}

// TestWatchRestartDirect restarts a service that stays active meanwhile (RestartMode=direct).
func TestWatchRestartDirect(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	restarted := func(unit, program string, n uint32) {
		props := execStart(program)
		props["Service.NRestarts"] = n
		f.become(unit, "active", "running", props)
	}
	const podman = "/usr/bin/podman start app"
	f.set("app.service", "active", "running", execStart(podman))
	changes := watch(soon(t), t, m).Changes()
	none := func(what string) {
		t.Helper()
		f.emitState("libpod-1.scope", "failed") // the next change arrives, so an earlier one would have arrived too
		await(t, changes, "the change of the scope")
		syncReplies(t, m)
		select {
		case <-changes:
			t.Error("the watch reports a change: ", what)
		default:
		}
		f.emitState("libpod-1.scope", "inactive")
		await(t, changes, "the end of the scope")
	}
	restarted("app.service", podman, 0)
	await(t, changes, "the first state")
	none("nothing happened")
	for n := range uint32(3) {
		restarted("app.service", podman, n+1)
		await(t, changes, "the restart")
		syncReplies(t, m)
		for len(changes) > 0 { // the state after it
			<-changes
		}
	}
	restarted("app.service", podman, 3)
	none("the same count again")
	f.set("ssh.service", "active", "running", execStart("/usr/sbin/sshd -D"))
	restarted("ssh.service", "/usr/sbin/sshd -D", 5)
	none("a service without a container")
}

// TestWatchJob starts a unit whose container comes later and without a scope (--cgroups=split). The unit is
// activating until that has ended.
func TestWatchJob(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	props := execStart("/usr/bin/podman run --name backup --cgroups=split image")
	props["Service.Type"], props["Service.RemainAfterExit"] = "oneshot", false
	f.set("early.service", "activating", "start", props)
	f.set("backup.service", "inactive", "dead", props)
	changes := watch(soon(t), t, m).Changes()
	await(t, changes, "the first look for the container of early.service")
	f.become("early.service", "inactive", "dead", props)
	await(t, changes, "the end of early.service")
	began := time.Now()
	f.become("backup.service", "activating", "start", props)
	await(t, changes, "the first look for its container")
	f.changed("backup.service") // its main process, or a status
	await(t, changes, "the second look for its container")
	if took := time.Since(began); took < 3*lookForJob {
		t.Errorf("two looks after %s", took)
	}
	f.become("backup.service", "inactive", "dead", props)
	await(t, changes, "its end")
	select {
	case <-changes:
		t.Error("the watch reports a change after its end")
	case <-time.After(5 * lookForJob):
	}
}

func TestWatchReload(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("app.service", "active", "running", execStart("/usr/bin/nginx -g x"))
	f.set("end.service", "active", "running", execStart("/usr/bin/podman start end"))
	changes := watch(soon(t), t, m).Changes()
	f.emitState("app.service", "active")
	f.emitState("end.service", "failed")
	await(t, changes, "the change of end.service")
	f.set("app.service", "active", "running", execStart("/usr/bin/podman start app"))
	_ = f.conn.Emit(managerPath, managerIfc+".Reloading", false)
	f.emitState("app.service", "failed")
	await(t, changes, "the change of app.service, which runs a container now")
}

func TestWatchContextEnds(t *testing.T) {
	t.Parallel()
	m, _ := newManager(t)
	ctx, cancel := context.WithCancel(t.Context())
	changes := watch(ctx, t, m).Changes()
	cancel()
	awaitClosed(t, changes)
}

func TestWatchBusRestart(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	m := managerOn(t, b)
	newSystemd(t, b)
	changes := watch(soon(t), t, m).Changes()
	b.kill()
	awaitClosed(t, changes)
	if _, err := m.Watch(soon(t)); !errors.Is(err, recover.ErrNoBus) {
		t.Errorf("without a bus: %v", err)
	}
	b.run()
	f := newSystemd(t, b)
	changes = watch(soon(t), t, m).Changes()
	f.emitState("libpod-1.scope", "active")
	await(t, changes, "the change on the new bus")
}

func watch(ctx context.Context, t *testing.T, m *Manager) recover.Watch {
	t.Helper()
	w, err := m.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// awaitClosed drains c until it is closed.
func awaitClosed(t *testing.T, c <-chan struct{}) {
	t.Helper()
	closed := make(chan bool, 1)
	go func() {
		for range c {
		}
		closed <- true
	}()
	await(t, closed, "the end of the changes")
}

func TestGoingDown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		own, host any
		want      bool
		fails     bool
	}{
		"none stops":           {"running", "degraded", false, false},
		"user's manager stops": {"stopping", "running", true, false},
		"host's manager stops": {"running", "stopping", true, false},
		"both start":           {"starting", "starting", false, false},
		"state is a number":    {uint32(3), "running", false, true},
		"host's state unknown": {"running", nil, false, true},
		"user's manager stops, host's state unknown": {"stopping", nil, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, own := newManager(t)
			hostBus := newBus(t)
			host := newSystemd(t, hostBus)
			m.hostBus = hostBus.address()
			own.property("SystemState", c.own)
			host.property("SystemState", c.host)
			got, err := watch(soon(t), t, m).GoingDown(soon(t))
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// TestLeftTarget takes the host through the states of multi-user.target, one after the other.
func TestLeftTarget(t *testing.T) {
	t.Parallel()
	type state struct {
		active, job string
		left        bool
		exit        uint64
	}
	for name, states := range map[string][]state{
		"the host boots": {{"inactive", "start", false, 0}, {"active", "", false, 0}},
		"isolate rescue, and back": {{"active", "", false, 0}, {"active", "stop", true, 0}, {"inactive", "", true, 5},
			{"inactive", "start", true, 5}, {"active", "", false, 5}},
		"isolate rescue, seen late":           {{"active", "", false, 0}, {"inactive", "", true, 5}},
		"isolate rescue, and back, seen late": {{"active", "", false, 0}, {"inactive", "start", true, 5}},
		"no look has seen it active":          {{"inactive", "start", false, 0}, {"inactive", "", true, 5}},
		"nor after it had been left before":   {{"inactive", "start", false, 3}, {"inactive", "start", true, 5}},
		"a host that never reaches it":        {{"inactive", "", false, 0}, {"inactive", "", false, 0}},
		"it is stopped before it was seen":    {{"active", "stop", true, 0}},
		"the daemon is started in rescue": {
			{"inactive", "", false, 3}, {"inactive", "", false, 3}, {"active", "", false, 3}, {"inactive", "", true, 5}},
	} {
		for _, user := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, user's manager %v", name, user), func(t *testing.T) {
				t.Parallel()
				m, host := newManager(t)
				if user {
					hostBus := newBus(t)
					host = newSystemd(t, hostBus)
					m.hostBus = hostBus.address()
				}
				w := watch(soon(t), t, m)
				for i, s := range states {
					host.set(multiUser, s.active, s.active, map[string]any{"Unit.ActiveExitTimestampMonotonic": s.exit})
					host.change(func() { host.jobs[multiUser] = s.job })
					if left, err := w.LeftTarget(soon(t)); left != s.left || err != nil {
						t.Errorf("in state %d: got %v, %v", i, left, err)
					}
				}
			})
		}
	}
}

// TestGoingDownSystemManager checks that the system manager, which is the host's, is asked once.
func TestGoingDownSystemManager(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	if down, err := watch(soon(t), t, m).GoingDown(soon(t)); down || err != nil {
		t.Errorf("got %v, %v", down, err)
	}
	if n := f.count("Get"); n != 1 {
		t.Errorf("systemd was asked %d times, want 1", n)
	}
}

// TestGoingDownAfterBusRestart checks that a watch asks only the manager that it watches, and not the next one
// on the same bus.
func TestGoingDownAfterBusRestart(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	m := managerOn(t, b)
	newSystemd(t, b)
	w := watch(soon(t), t, m)
	b.kill()
	b.run()
	newSystemd(t, b)
	if down, err := w.GoingDown(soon(t)); !errors.Is(err, recover.ErrNoBus) {
		t.Errorf("got %v, %v", down, err)
	}
	if down, err := watch(soon(t), t, m).GoingDown(soon(t)); down || err != nil {
		t.Errorf("new watch: %v, %v", down, err)
	}
}

func TestUnitOfObjectPath(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"app.service", "a-b_c@d:e.service", `dev\x2dsda.service`, "libpod-0f1e.scope"} {
		if got := unitOf(unitPath(unit)); got != unit {
			t.Errorf("unitOf returns %s for %s", got, unit)
		}
	}
	for p, want := range map[dbus.ObjectPath]string{"/u/a_2": "a_2", "/u/a_": "a_", "/u/_zz": "_zz", "/u/_1g": "_1g"} {
		if got := unitOf(p); got != want {
			t.Errorf("unitOf returns %s for %s, want %s", got, p, want)
		}
	}
}
