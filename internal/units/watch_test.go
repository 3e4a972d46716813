package units

import (
	"context"
	"errors"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// becomes says PropertiesChanged for a unit.
func (f *fakeSystemd) becomes(unit, active string) {
	_ = f.conn.Emit(unitPath(unit), "org.freedesktop.DBus.Properties.PropertiesChanged", unitIfc,
		map[string]dbus.Variant{"ActiveState": dbus.MakeVariant(active)}, []string{})
}

func TestAWatchTellsOfContainersOnly(t *testing.T) {
	t.Parallel()
	const app, scope = "app.service", "libpod-fb7ac3a73716.scope"
	type signal struct{ unit, state string }
	for sentence, c := range map[string]struct {
		signals []signal
		want    bool
	}{
		"a service that runs a container came up":   {[]signal{{app, "activating"}, {app, "active"}}, true},
		"a service that runs a container failed":    {[]signal{{app, "failed"}}, true},
		"a service that runs a container stopped":   {[]signal{{app, "deactivating"}, {app, "inactive"}}, true},
		"a container without a unit stopped":        {[]signal{{scope, "inactive"}}, true},
		"a unit on its way is no change yet":        {[]signal{{app, "activating"}, {app, "reloading"}, {scope, "deactivating"}}, false},
		"another service is none of ours":           {[]signal{{"ssh.service", "active"}, {"gone.service", "failed"}}, false},
		"another scope is none of ours":             {[]signal{{"session-3.scope", "active"}}, false},
		"a scope of conmon is not the container":    {[]signal{{"libpod-conmon-fb7ac3a73716.service.slice", "active"}}, false},
		"a unit that is no service is none of ours": {[]signal{{"app.timer", "active"}, {"app.mount", "failed"}}, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			f.set(app, "active", "running", execStart("/usr/bin/podman start app"))
			f.set("ssh.service", "active", "running", execStart("/usr/sbin/sshd -D"))
			f.set("end.service", "active", "running", execStart("/usr/bin/podman start end"))
			changes := watch(soon(t), t, m).Changes()
			for _, s := range c.signals {
				f.becomes(s.unit, s.state)
			}
			if c.want {
				await(t, changes, "the change")
				return
			}
			// What is sent next arrives: nothing before it did.
			f.becomes("end.service", "failed")
			await(t, changes, "the change that ends the test")
			settleReplies(t, m)
			select {
			case <-changes:
				t.Error("a change was told")
			default:
			}
		})
	}
}

func TestAWatchAsksAgainAfterAReload(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("app.service", "active", "running", execStart("/usr/bin/nginx -g x"))
	f.set("end.service", "active", "running", execStart("/usr/bin/podman start end"))
	changes := watch(soon(t), t, m).Changes()
	f.becomes("app.service", "active")
	f.becomes("end.service", "failed")
	await(t, changes, "the change of the one that runs a container")
	f.set("app.service", "active", "running", execStart("/usr/bin/podman start app"))
	_ = f.conn.Emit(managerPath, managerIfc+".Reloading", false)
	f.becomes("app.service", "failed")
	await(t, changes, "the change of the one that runs a container now")
}

func TestAWatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	m, _ := newManager(t)
	ctx, cancel := context.WithCancel(t.Context())
	changes := watch(ctx, t, m).Changes()
	cancel()
	awaitClosed(t, changes)
}

func TestAWatchEndsWithTheBusAndTheNextBeginsOnTheNext(t *testing.T) {
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
	f.becomes("libpod-1.scope", "active")
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

// awaitClosed takes what still comes until c is closed.
func awaitClosed(t *testing.T, c <-chan struct{}) {
	t.Helper()
	closed := make(chan bool, 1)
	go func() {
		for range c { // nothing is kept of it
		}
		closed <- true
	}()
	await(t, closed, "the end of the changes")
}

func TestGoingDown(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		own, host any
		want      bool
		fails     bool
	}{
		"neither manager stops":                       {"running", "degraded", false, false},
		"our manager stops":                           {"stopping", "running", true, false},
		"only the host's manager stops":               {"running", "stopping", true, false},
		"starting is not stopping":                    {"starting", "starting", false, false},
		"a state that is no word is an error":         {uint32(3), "running", false, true},
		"a host that does not tell is an error":       {"running", nil, false, true},
		"our own stop is enough when host is unknown": {"stopping", nil, true, false},
	} {
		t.Run(sentence, func(t *testing.T) {
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

func TestTheSystemsManagerIsAskedOnceWhetherItStops(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	if down, err := watch(soon(t), t, m).GoingDown(soon(t)); down || err != nil {
		t.Errorf("got %v, %v", down, err)
	}
	if n := f.count("Get"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestAWatchOnAManagerThatWentDoesNotAskTheNext(t *testing.T) {
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
		t.Errorf("a new watch: %v, %v", down, err)
	}
}

func TestUnitOfReadsWhatSystemdEscapes(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"app.service", "a-b_c@d:e.service", `dev\x2dsda.service`, "libpod-0f1e.scope"} {
		if got := unitOf(unitPath(unit)); got != unit {
			t.Errorf("%s became %s", unit, got)
		}
	}
	for p, want := range map[dbus.ObjectPath]string{"/u/a_2": "a_2", "/u/a_": "a_", "/u/_zz": "_zz", "/u/_1g": "_1g"} {
		if got := unitOf(p); got != want {
			t.Errorf("%s became %s, want %s", p, got, want)
		}
	}
}
