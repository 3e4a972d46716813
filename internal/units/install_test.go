package units

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestInstall(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	units := map[string]string{
		"container-a.service": "[Service]\nExecStart=/usr/bin/podman start a\n",
		"container-b.service": "[Service]\nExecStart=/usr/bin/podman start b\n",
	}
	f.starts(func(c *startCall) { c.reply("/org/freedesktop/systemd1/job/1") })
	seen := make(chan []string, 9) // the units at each reload
	f.change(func() { f.onReload = func() { seen <- unitsIn(t, m.runtimeDir) } })
	install := func() {
		if err := m.Install(soon(t), units); err != nil {
			t.Fatal(err)
		}
	}
	install() // systemd has found none of them
	got, want := await(t, seen, "the reload"), slices.Sorted(maps.Keys(units))
	if !slices.Equal(got, want) {
		t.Errorf("the units at the reload are %q, want %q", got, want)
	}
	loaded := func(outdated bool, names ...string) {
		for _, name := range names {
			f.set(name, "inactive", "", map[string]any{"Unit.LoadState": "loaded", "Unit.NeedDaemonReload": outdated})
		}
	}
	loaded(false, append(want, holder)...)
	install() // over its own units, which systemd has read
	if n := f.count("Reload"); n != 1 {
		t.Errorf("%d reloads, want 1", n)
	}
	for i, name := range append(want, holder) {
		loaded(true, name) // systemd has read an older one
		install()
		if n := f.count("Reload"); n != 2+i {
			t.Errorf("%d reloads with an outdated %s, want %d", n, name, 2+i)
		}
		loaded(false, name)
	}
	// systemd says that it is up to date, but the clock may have been set back.
	units["container-a.service"] += "TimeoutStartSec=1\n"
	install()
	if n := f.count("Reload"); n != 5 {
		t.Errorf("%d reloads after another text, want 5", n)
	}
	wantHeld(t, m, "container-a.service container-b.service")
	if n := f.count("StartUnit"); n != 10 {
		t.Errorf("the target was started %d times, want 10", n)
	}
	for name, text := range units {
		content, err := os.ReadFile(filepath.Join(m.runtimeDir, name))
		if err != nil || string(content) != header+text {
			t.Errorf("%s holds %q, %v", name, content, err)
		}
		info, err := os.Stat(filepath.Join(m.runtimeDir, name))
		if err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestInstallForeignUnit(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(path string) error{
		"unit of another program": func(path string) error { return os.WriteFile(path, []byte("[Service]\n"), 0o644) },
		"masked unit":             func(path string) error { return os.Symlink("/dev/null", path) },
		"dangling link":           func(path string) error { return os.Symlink("/nonexistent", path) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := newManager(t)
			path := filepath.Join(m.runtimeDir, "container-a.service")
			if err := os.MkdirAll(m.runtimeDir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(path)
			err := m.Install(soon(t), map[string]string{
				"container-a.service": "[Service]\n", "container-z.service": "[Service]\n",
			})
			if err != nil {
				t.Errorf("got %v", err)
			}
			if !installedIn(m.runtimeDir, filepath.Join(m.runtimeDir, "container-z.service")) {
				t.Error("the other unit was not written")
			}
			after, err := os.Lstat(path)
			if err != nil || !os.SameFile(before, after) {
				t.Errorf("the file was replaced: %v", err)
			}
		})
	}
}

func TestInstallInvalidName(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	for _, bad := range invalidUnits {
		units := map[string]string{bad: "[Service]\n"}
		for _, good := range []string{"a", "b", "c", "d", "e"} { // maps have no order, so some come first
			units["container-"+good+".service"] = "[Service]\n"
		}
		if err := m.Install(soon(t), units); err == nil {
			t.Errorf("%q was installed", bad)
		}
	}
	if left := unitsIn(t, m.runtimeDir); len(left) > 0 {
		t.Errorf("the units %q were written", left)
	}
	if n := f.count("Reload"); n > 0 {
		t.Errorf("%d reloads, want none", n)
	}
}

// TestContainerUnitsWithoutOwn checks that units of Install are not listed as installed.
func TestContainerUnitsWithoutOwn(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	const ownUnit, foreign = "container-a.service", "container-b.service"
	if err := m.Install(soon(t), map[string]string{ownUnit: "[Service]\n"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.runtimeDir, foreign), []byte("[Service]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, unit := range []string{ownUnit, foreign} {
		f.set(unit, "inactive", "dead", execStart("/usr/bin/podman start "+strings.TrimSuffix(unit, ".service")))
		f.change(func() { f.files = append(f.files, unitFile{filepath.Join(m.runtimeDir, unit), "disabled"}) })
	}
	got, err := m.ContainerUnits(soon(t), nil)
	if err != nil || len(got) != 1 || got[0].Unit != foreign {
		t.Errorf("got %v, %v", got, err)
	}
}

// unitsIn lists the files of a directory, which may be missing.
func unitsIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != holder {
			names = append(names, e.Name())
		}
	}
	return names
}

// Units of containers that are gone are removed, and no other files.
func TestRemoveGenerated(t *testing.T) {
	t.Parallel()
	m, _ := newManager(t)
	if err := m.RemoveGenerated(nil); err != nil {
		t.Errorf("without a directory: %v", err)
	}
	if err := m.Install(soon(t), map[string]string{
		"container-a.service": "[Service]\n", "container-gone.service": "[Service]\n",
	}); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(m.runtimeDir, "container-foreign.service")
	if err := os.WriteFile(foreign, []byte("[Service]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.RemoveGenerated([]string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, m, "container-a.service")
	want := []string{"container-a.service", "container-foreign.service"}
	if got := unitsIn(t, m.runtimeDir); !slices.Equal(got, want) {
		t.Errorf("the units are %q, want %q", got, want)
	}
}

// wantHeld checks which units the target keeps loaded.
func wantHeld(t *testing.T, m *Manager, names string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.runtimeDir, holder))
	if err != nil || !strings.Contains(string(text), "\nAfter="+names+"\n") {
		t.Errorf("the target is %q, %v", text, err)
	}
}
