package units

import (
	"errors"
	"os"
	"slices"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

// setDependencies sets a unit that requires and wants others.
func (f *fakeSystemd) setDependencies(unit, active string, requires, wants []string) {
	f.set(unit, active, "", map[string]any{"Unit.Requires": requires, "Unit.Wants": wants, "Unit.BindsTo": []string{}})
}

func TestPulls(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.setDependencies("db.service", "inactive", []string{"-.slice"}, nil)
	f.setDependencies("app.service", "inactive", []string{"db.service"}, []string{"net.target"})
	f.setDependencies("web.service", "inactive", nil, []string{"app.service"})
	f.setDependencies("ring1.service", "inactive", []string{"ring2.service"}, nil)
	f.setDependencies("ring2.service", "inactive", []string{"ring1.service"}, nil)
	f.setDependencies("net.target", "inactive", []string{"vpn.service"}, nil)
	f.setDependencies("vpn.service", "inactive", nil, nil)
	f.setDependencies("late.service", "inactive", []string{"on.service"}, nil)
	f.setDependencies("on.service", "active", []string{"db.service"}, nil) // it is active, so its start starts none
	f.set("strict.service", "inactive", "", map[string]any{
		"Unit.Requisite": []string{"app.service"}, "Unit.Upholds": []string{"vpn.service"},
	})
	f.set("bound.service", "inactive", "", map[string]any{"Unit.BindsTo": []string{"up.service", "gone.service"}})
	f.setDependencies("up.service", "activating", []string{"db.service"}, nil)
	f.setDependencies("held.service", "inactive", []string{"ending.service"}, nil)
	f.setDependencies("ending.service", "active", nil, nil)
	f.begins("ending.service", "stop")
	ask := []string{
		"db.service", "app.service", "web.service", "ring1.service", "ring2.service", "vpn.service", "late.service",
		"strict.service", "bound.service", "held.service", "../odd",
	}
	starts := func(unit string, needed bool) recover.Pull {
		return recover.Pull{Unit: unit, Starts: true, Needed: needed}
	}
	want := map[string][]recover.Pull{
		"app.service":   {starts("db.service", true), starts("vpn.service", false)},
		"web.service":   {starts("app.service", false), starts("db.service", false), starts("vpn.service", false)},
		"ring1.service": {starts("ring2.service", true)},
		"ring2.service": {starts("ring1.service", true)},
		"held.service":  {starts("ending.service", true)},
		"strict.service": {
			{Unit: "app.service", Needed: true}, {Unit: "db.service", Needed: true}, starts("vpn.service", true),
		},
	}
	got, err := m.Pulls(soon(t), ask, false)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	want["late.service"] = []recover.Pull{starts("db.service", true), starts("on.service", true)}
	want["bound.service"] = []recover.Pull{starts("db.service", true), starts("up.service", true)}
	got, err = m.Pulls(soon(t), ask, true)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("as if all were down: %v (-want +got):\n%s", err, diff)
	}
}

func TestStartDependencyFailed(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.starts(func(c *startCall) {
		job := f.newJob()
		c.reply(job)
		f.set("app.service", "inactive", "dead", map[string]any{
			"Unit.Requires": []string{"db.service", "mnt-data.mount", "up.service", "gone.service"}})
		f.set("db.service", "failed", "failed", nil)
		f.set("up.service", "active", "running", nil)
		f.set("mnt-data.mount", "failed", "failed", map[string]any{"Mount.Where": "/mnt/data"})
		f.end(job, c.unit, "dependency")
	})
	got, err := m.Start(soon(t), "app.service")
	want := recover.Outcome{Job: "dependency", UnitState: recover.UnitState{Loaded: true, Active: "inactive", Sub: "dead"},
		Blockers: []string{"db.service", "mnt-data.mount"}, NotMounted: []string{"/mnt/data"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestResetFailed(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("app.service", "failed", "failed", nil)
	if err := m.ResetFailed(soon(t), "app.service"); err != nil {
		t.Error(err)
	}
	states, err := m.States(soon(t), []string{"app.service"})
	if err != nil || states["app.service"].Active != "inactive" {
		t.Errorf("%+v, %v", states, err)
	}
	if m.ResetFailed(soon(t), "none.service") == nil || m.ResetFailed(soon(t), "../none") == nil {
		t.Error("ResetFailed accepts a missing or invalid unit")
	}
}

func TestDefinition(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	m, f := managerOn(t, b), newSystemd(t, b)
	fragment, dropIn := b.path("app.service"), b.path("limit.conf")
	define := func(text, limit, exec string, dropIns ...string) string {
		t.Helper()
		for file, content := range map[string]string{fragment: text, dropIn: limit} {
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		props := execStart(exec)
		props["Unit.FragmentPath"], props["Unit.DropInPaths"] = fragment, dropIns
		f.set("app.service", "inactive", "dead", props)
		d, err := m.Definition(soon(t), "app.service")
		if err != nil || d == "" {
			t.Fatalf("%q, %v", d, err)
		}
		return d
	}
	first := define("one", "", "podman run one")
	if again := define("one", "", "podman run one"); again != first {
		t.Error("the digest of the same unit differs")
	}
	seen := map[string]bool{first: true}
	for _, d := range []string{
		define("two", "", "podman run one"), define("one", "", "podman run two"),
		define("one", "a", "podman run one", dropIn), define("one", "b", "podman run one", dropIn),
	} {
		if seen[d] {
			t.Error("the digest of a changed unit is the same")
		}
		seen[d] = true
	}
	f.set("app.service", "inactive", "dead", nil)
	if d, err := m.Definition(soon(t), "app.service"); err == nil {
		t.Errorf("a unit without properties has the digest %q", d)
	}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("a.service", "failed", "failed", map[string]any{"Service.Result": "signal"})
	f.set("a.socket", "failed", "failed", map[string]any{"Socket.Result": "service-start-limit-hit"})
	f.set("b.service", "active", "running", map[string]any{"Service.Result": "success"})
	for unit, want := range map[string]string{
		"a.service": "signal", "a.socket": "service-start-limit-hit", "b.service": "", "none.service": "",
	} {
		if got, err := m.Failure(soon(t), unit); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", unit, got, err, want)
		}
	}
}

func TestMounts(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	mount := func(name, active, where, file string) {
		f.set(name, active, "", map[string]any{"Mount.Where": where, "Unit.FragmentPath": file})
	}
	mount("mnt-data.mount", "inactive", "/mnt/data", "/run/systemd/generator/mnt-data.mount")
	mount("mnt-two.mount", "failed", "/mnt/two", "/etc/systemd/system/mnt-two.mount")
	mount("mnt-on.mount", "active", "/mnt/on", "/run/systemd/generator/mnt-on.mount")
	mount("tmp.mount", "inactive", "/tmp", "/usr/lib/systemd/system/tmp.mount")
	mount("mnt-auto.mount", "inactive", "/mnt/auto", "/run/systemd/generator/mnt-auto.mount")
	f.set("mnt-auto.automount", "active", "waiting", nil)
	mount("mnt-lazy.mount", "inactive", "/mnt/lazy", "/run/systemd/generator/mnt-lazy.mount")
	f.set("mnt-lazy.automount", "inactive", "dead", nil)
	got, err := m.NotMounted(soon(t))
	slices.Sort(got)
	if diff := cmp.Diff([]string{"/mnt/data", "/mnt/lazy", "/mnt/two"}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}

	done := make(chan error, 1)
	awaitLook := func() { // it lists mounts, and then automounts
		f.awaitCall("ListUnitsByPatterns")
		f.awaitCall("ListUnitsByPatterns")
	}
	awaitLook() // that of NotMounted
	go func() { done <- m.AwaitMounts(soon(t), []string{"/mnt/data", "/mnt/on"}) }()
	// It looks once, and again after each change, also of another mount.
	awaitLook()
	mount("mnt-two.mount", "active", "/mnt/two", "/etc/systemd/system/mnt-two.mount")
	f.changed("mnt-two.mount")
	awaitLook()
	select {
	case err := <-done:
		t.Fatalf("AwaitMounts returns before the mount: %v", err)
	default:
	}
	mount("mnt-data.mount", "active", "/mnt/data", "/run/systemd/generator/mnt-data.mount")
	f.changed("mnt-data.mount")
	if err := await(t, done, "the mount"); err != nil {
		t.Error(err)
	}
}

func TestAwaitMountsBusGone(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	m, f := managerOn(t, b), newSystemd(t, b)
	f.set("mnt-data.mount", "inactive", "", map[string]any{
		"Mount.Where": "/mnt/data", "Unit.FragmentPath": "/etc/systemd/system/mnt-data.mount",
	})
	done := make(chan error, 1)
	go func() { done <- m.AwaitMounts(soon(t), []string{"/mnt/data"}) }()
	f.awaitCall("ListUnitsByPatterns")
	b.kill()
	if err := await(t, done, "the end"); !errors.Is(err, recover.ErrNoBus) {
		t.Errorf("%v, want ErrNoBus", err)
	}
}

func TestMountsNeeded(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	m, f := managerOn(t, b), newSystemd(t, b)
	props := execStart("podman run --name a -v /mnt/a:/a:ro --volume=/mnt/b:/b --volume named:/c" +
		" --mount type=bind,src=/mnt/d,dst=/d img")
	props["Unit.RequiresMountsFor"] = []string{"/mnt/a", "/run/user/1000"}
	f.set("a.service", "inactive", "dead", props)
	got, err := m.MountsNeeded(soon(t), "a.service")
	want := recover.MountsNeeded{Paths: []string{"/mnt/b", "/mnt/d"}, ByManager: []string{"/mnt/a", "/run/user/1000"},
		Volumes: []string{"named"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("host: %v (-want +got):\n%s", err, diff)
	}
	m.hostBus = "unix:path=/elsewhere" // the manager of a user cannot mount
	got, err = m.MountsNeeded(soon(t), "a.service")
	want = recover.MountsNeeded{Paths: []string{"/mnt/a", "/mnt/b", "/mnt/d", "/mnt/a", "/run/user/1000"},
		Volumes: []string{"named"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("user: %v (-want +got):\n%s", err, diff)
	}
}
