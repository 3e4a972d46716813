package units

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

// execStart returns the property Service.ExecStart with these command lines.
func execStart(lines ...string) map[string]any {
	commands := []execCommand{}
	for _, line := range lines {
		argv := strings.Fields(line)
		commands = append(commands, execCommand{Path: argv[0], Argv: argv})
	}
	return map[string]any{"Service.ExecStart": commands}
}

func tier(n int) *int { return &n }

func TestContainerOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		exec string
		want recover.Container // Name empty: it is no container's
	}{
		"Quadlet": {
			"/usr/bin/podman run --name systemd-q1 --cidfile=/run/q1.cid --replace --rm --cgroups=split" +
				" --sdnotify=conmon -d --label io.archy.tier=1 localhost/app:1",
			recover.Container{Name: "systemd-q1", Tier: tier(1)}},
		"Quadlet with GlobalArgs=": {
			"/usr/bin/podman --log-level=debug --cgroup-manager systemd run --name q2 --replace -d localhost/app:1",
			recover.Container{Name: "q2"}},
		"Quadlet with ContainersConfModule=": {
			"/usr/bin/podman --module=/etc/mine.conf run --name q3 -d localhost/app:1",
			recover.Container{Name: "q3"}},
		"generate systemd without --new": {
			"/usr/bin/podman start p1", recover.Container{Name: "p1"}},
		"generate systemd with --new": {
			"/usr/bin/podman run --cidfile=/run/c.ctr-id --cgroups=no-conmon --rm --sdnotify=conmon" +
				" --replace -d --name=n1 localhost/app:1",
			recover.Container{Name: "n1"}},
		"--name without =": {
			"/usr/bin/podman run --rm --name n2 img", recover.Container{Name: "n2"}},
		"podman in another directory": {
			"/opt/bin/podman run --name n3 img", recover.Container{Name: "n3"}},
		"podman container run": {
			"podman container run --name n4 img", recover.Container{Name: "n4"}},
		"start with flags": {
			"podman start --attach n5", recover.Container{Name: "n5"}},
		"tier in -l": {
			"podman run --name n6 -l io.archy.tier=0 img", recover.Container{Name: "n6", Tier: tier(0)}},
		"tier in --label=": {
			"podman run --name n7 --label=io.archy.tier=12 --label other=9 img", recover.Container{Name: "n7", Tier: tier(12)}},
		"invalid tier": {
			"podman run --name n8 --label io.archy.tier=soon img", recover.Container{Name: "n8"}},
		"own command with the same flags": {
			"podman run --name n9 img serve --name other -l io.archy.tier=x", recover.Container{Name: "n9"}},
		"run without a name":          {"podman run --rm img", recover.Container{}},
		"invalid name":                {"podman run --name ../x img", recover.Container{}},
		"name without a value":        {"podman run img --name", recover.Container{}},
		"another verb":                {"podman pull --name x", recover.Container{}},
		"another verb with run in it": {"podman --debug exec run start", recover.Container{}},
		"program only":                {"podman", recover.Container{}},
		"flags only":                  {"podman --debug --now", recover.Container{}},
		"container without a verb":    {"podman --debug container", recover.Container{}},
		"another program":             {"/usr/bin/nginx run --name x", recover.Container{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := containerOf(strings.Fields(c.exec))
			if ok != (c.want.Name != "") {
				t.Fatalf("containerOf reports %v, %+v", ok, got)
			}
			if diff := cmp.Diff(c.want, got); ok && diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestContainerUnits(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("q1.service", "inactive", "dead", execStart("/usr/bin/podman run --name systemd-q1 --rm img"))
	f.set("container-p1.service", "active", "running", execStart("/usr/bin/podman start p1"))
	f.set("two.service", "inactive", "dead", execStart("/usr/bin/podman start one", "/usr/bin/podman start two"))
	f.set("app@a.service", "inactive", "dead", execStart("/usr/bin/podman run --name app-a img"))
	f.set("nginx.service", "active", "running", execStart("/usr/sbin/nginx -g x"))
	f.set("vendor.service", "active", "running", execStart("/usr/bin/podman start vendor"))
	f.set("oneshot.service", "inactive", "dead", execStart())
	f.set("vanishing.service", "inactive", "dead", nil) // it has no ExecStart
	f.change(func() {
		f.units["broken.service"] = &fakeUnit{"bad-setting", "inactive", "dead", execStart("/usr/bin/podman start broken")}
		f.aliases["other-name.service"] = "q1.service"
		f.aliases["gone-alias.service"] = "vendor.service"
		f.files = []unitFile{
			{"/run/systemd/generator/q1.service", "generated"},
			{"/etc/systemd/system/container-p1.service", "enabled"},
			{"/etc/systemd/system/two.service", "static"},
			{"/etc/systemd/system/app@a.service", "enabled"},
			{"/etc/systemd/system/app@.service", "disabled"},
			{"/etc/systemd/system/nginx.service", "enabled"},
			{"/etc/systemd/system/oneshot.service", "enabled"},
			{"/etc/systemd/system/vanishing.service", "enabled"},
			{"/etc/systemd/system/broken.service", "bad"},
			{"/run/systemd/system/broken.service", "disabled"},
			{"/etc/systemd/system/other-name.service", "alias"},
			{"/etc/systemd/system/gone-alias.service", "enabled"},
			{"/etc/systemd/system/masked.service", "masked"},
			{"/run/systemd/system/masked2.service", "masked-runtime"},
			{"/usr/lib/systemd/system/vendor.service", "enabled"},
			{"/lib/systemd/system/vendor.service", "enabled"},
			{"/etc/systemd/system/q1.service", "enabled"}, // the second file of this unit
		}
	})
	got, err := m.ContainerUnits(soon(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []recover.ContainerUnit{
		{Unit: "app@a.service", Container: recover.Container{Name: "app-a"}},
		{Unit: "container-p1.service", Container: recover.Container{Name: "p1"}, StartsExisting: true},
		{Unit: "q1.service", Container: recover.Container{Name: "systemd-q1"}, Discards: true},
		{Unit: "two.service", Container: recover.Container{Name: "one"}, StartsExisting: true},
		{Unit: "two.service", Container: recover.Container{Name: "two"}, StartsExisting: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// With names it lists those units, but no alias.
	names := []string{"q1.service", "other-name.service", "nginx.service", "no.service", "not a unit"}
	got, err = m.ContainerUnits(soon(t), names)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want[2:3], got); diff != "" {
		t.Error(diff)
	}
	// It also lists a unit that shows no container, but labels its containers as Quadlet does.
	for unit, environment := range map[string][]string{
		"kube.service":  {"A=b", "PODMAN_SYSTEMD_UNIT=kube.service"},
		"other.service": {"PODMAN_SYSTEMD_UNIT=kube.service"},
		"none.service":  nil,
	} {
		props := execStart("/usr/bin/podman kube play x.yaml")
		props["Service.Environment"] = environment
		f.set(unit, "inactive", "dead", props)
	}
	got, err = m.ContainerUnits(soon(t), []string{"kube.service", "other.service", "none.service"})
	if diff := cmp.Diff([]recover.ContainerUnit{{Unit: "kube.service"}}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestContainerUnitsNone(t *testing.T) {
	t.Parallel()
	m, _ := newManager(t)
	if got, err := m.ContainerUnits(soon(t), nil); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestContainerUnitsJobs checks which units run to their end.
func TestContainerUnitsJobs(t *testing.T) {
	t.Parallel()
	const run = "/usr/bin/podman run --name app --requires db --rm img"
	const detached = "/usr/bin/podman run --name app -d --network container:db img"
	for name, c := range map[string]struct {
		exec, kind string
		remains    bool
		triggers   []string
		ours, want bool
	}{
		"oneshot":                              {run, "oneshot", false, nil, false, true},
		"oneshot that attaches":                {"/usr/bin/podman start -a app", "oneshot", false, nil, false, true},
		"oneshot that leaves its container":    {detached, "oneshot", false, nil, false, false},
		"oneshot that starts its container":    {"/usr/bin/podman start app", "oneshot", false, nil, false, false},
		"oneshot that remains":                 {run, "oneshot", true, nil, false, false},
		"service":                              {detached, "notify", false, nil, false, false},
		"service of a timer":                   {detached, "notify", false, []string{"app.timer"}, false, true},
		"service of a socket":                  {detached, "notify", false, []string{"app.socket", "app.path"}, false, false},
		"oneshot of a timer that remains":      {run, "oneshot", true, []string{"x.path", "app.timer"}, false, true},
		"unit that Install wrote":              {run, "oneshot", false, nil, true, false},
		"unit that Install wrote, and a timer": {run, "oneshot", false, []string{"app.timer"}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			props := execStart(c.exec)
			props["Service.Type"], props["Service.RemainAfterExit"] = c.kind, c.remains
			f.set("app.service", "inactive", "dead", props)
			for _, unit := range append(c.triggers, "other.timer") {
				triggers := []string{"app.service"}
				if unit == "other.timer" {
					triggers = []string{"other.service"}
				}
				f.set(unit, "active", "waiting", map[string]any{"Unit.Triggers": triggers})
			}
			if c.ours {
				if err := m.Install(soon(t), map[string]string{"app.service": ""}); err != nil {
					t.Fatal(err)
				}
			}
			got, err := m.ContainerUnits(soon(t), []string{"app.service"})
			want := []recover.ContainerUnit{
				{Unit: "app.service", Container: recover.Container{Name: "app"}, Job: c.want, Needs: []string{"db"}},
			}
			if strings.Contains(c.exec, "podman start") {
				want[0].Needs, want[0].StartsExisting = nil, true
			}
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestInstalled checks that a system manager's service files are listed from its directories, and that those of
// a user's, which looks into the user's home, are asked for.
func TestInstalled(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	etc, generator := t.TempDir(), t.TempDir()
	write := func(directory, name, text string) {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(m.runtimeDir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(etc, "a.service", "[Service]\n")
	write(etc, "app@.service", "[Service]\n")
	write(etc, "app@1.service", "[Service]\n")
	write(etc, "b.socket", "[Socket]\n")
	write(generator, "a.service", "[Service]\n")
	write(generator, "q.service", "[Service]\n")
	write(m.runtimeDir, "container-own.service", header)
	write(generator, "container-own.service", "[Service]\n") // systemd takes ours
	write(m.runtimeDir, "container-theirs.service", "[Service]\n")
	if err := os.Symlink("/opt/linked.service", filepath.Join(etc, "linked.service")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(etc, "multi-user.target.wants"), 0o755); err != nil {
		t.Fatal(err)
	}
	f.change(func() {
		f.manager["UnitPath"] = []string{filepath.Join(etc, "missing"), etc, m.runtimeDir, generator,
			"/usr/lib/systemd/system"}
		f.files = []unitFile{{"/home/u/.config/systemd/user/u.service", "static"}}
	})
	installed := func() []string {
		l, err := m.connect(soon(t))
		if err != nil {
			t.Fatal(err)
		}
		names, err := m.installed(soon(t), l)
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	want := []string{"a.service", "app@1.service", "container-theirs.service", "linked.service", "q.service"}
	if diff := cmp.Diff(want, installed()); diff != "" || f.count("ListUnitFilesByPatterns") > 0 {
		t.Errorf("%s; systemd listed them %d times", diff, f.count("ListUnitFilesByPatterns"))
	}
	// What cannot be read is asked for, too.
	f.change(func() { f.manager["UnitPath"] = []string{filepath.Join(etc, "a.service")} })
	if diff := cmp.Diff([]string{"u.service"}, installed()); diff != "" {
		t.Error(diff)
	}
	f.change(func() { f.manager["UnitPath"] = []string{etc} })
	m.hostBus = "unix:path=/elsewhere"
	if diff := cmp.Diff([]string{"u.service"}, installed()); diff != "" {
		t.Error(diff)
	}
}
