package units

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestInstallWritesTheUnitsAndReloadsOnce(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	units := map[string]string{
		"container-a.service": "[Service]\nExecStart=/usr/bin/podman start a\n",
		"container-b.service": "[Service]\nExecStart=/usr/bin/podman start b\n",
	}
	seen := make(chan []string, 2) // what systemd finds when it reloads
	f.change(func() { f.onReload = func() { seen <- unitsIn(t, m.runtimeDir) } })
	for range 2 { // and again over its own
		if err := m.Install(soon(t), units); err != nil {
			t.Fatal(err)
		}
		got, want := await(t, seen, "the reload"), slices.Sorted(maps.Keys(units))
		if !slices.Equal(got, want) {
			t.Errorf("at the reload there were %q, want %q", got, want)
		}
	}
	if n := f.count("Reload"); n != 2 {
		t.Errorf("%d reloads for two Installs", n)
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

func TestInstallLeavesOthersUnitsAsTheyAre(t *testing.T) {
	t.Parallel()
	for sentence, put := range map[string]func(path string) error{
		"a unit that someone wrote": func(path string) error { return os.WriteFile(path, []byte("[Service]\n"), 0o644) },
		"a unit that is masked":     func(path string) error { return os.Symlink("/dev/null", path) },
		"a link to nowhere":         func(path string) error { return os.Symlink("/nonexistent", path) },
	} {
		t.Run(sentence, func(t *testing.T) {
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
			err := m.Install(soon(t), map[string]string{"container-a.service": "[Service]\n", "container-z.service": "[Service]\n"})
			if err != nil {
				t.Errorf("got %v", err)
			}
			if !m.wrote(filepath.Join(m.runtimeDir, "container-z.service")) {
				t.Error("another unit was not written for it")
			}
			after, err := os.Lstat(path)
			if err != nil || !os.SameFile(before, after) {
				t.Errorf("it was replaced: %v", err)
			}
		})
	}
}

func TestInstallWritesNothingWhereANameIsNoUnits(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	for _, bad := range badUnitNames {
		units := map[string]string{bad: "[Service]\n"}
		for _, good := range []string{"a", "b", "c", "d", "e"} { // whatever the order
			units["container-"+good+".service"] = "[Service]\n"
		}
		if err := m.Install(soon(t), units); err == nil {
			t.Errorf("%q was installed", bad)
		}
	}
	if left := unitsIn(t, m.runtimeDir); len(left) > 0 {
		t.Errorf("written: %q", left)
	}
	if n := f.count("Reload"); n > 0 {
		t.Errorf("%d reloads", n)
	}
}

func TestWhatInstallWroteIsNoInstalledContainerUnit(t *testing.T) {
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

func unitsIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
