package state

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"archy-recovery/internal/recover"
)

// ids returns the IDs of the reports.
func ids(t *testing.T, d *Dir) []int {
	t.Helper()
	reports, err := d.Reports()
	if err != nil {
		t.Fatal(err)
	}
	var ids []int
	for _, r := range reports {
		ids = append(ids, r.ID)
	}
	return ids
}

func TestHistory(t *testing.T) {
	dir := t.TempDir()
	d, _ := open(t, dir)
	if got := ids(t, d); got != nil {
		t.Errorf("a new directory has the reports %v", got)
	}
	for want := 1; want <= keepReports+2; want++ {
		if id, err := d.SaveReport(recover.Report{BootID: "b"}); err != nil || id != want {
			t.Fatalf("report %d is %d, %v", want, id, err)
		}
	}
	got := ids(t, d)
	if len(got) != keepReports || got[0] != 3 || !slices.IsSorted(got) {
		t.Errorf("%d reports are kept, from %d on", len(got), got[0])
	}
	if id, err := d.SaveReport(recover.Report{ID: 50, BootID: "again"}); err != nil || id != 50 {
		t.Errorf("report 50 was saved as %d, %v", id, err)
	}
	reports, _ := d.Reports()
	if r := reports[50-3]; r.ID != 50 || r.BootID != "again" || len(reports) != keepReports {
		t.Errorf("report 50 is %+v, one of %d", r, len(reports))
	}
	// Other files and a damaged report hide no report.
	for name, text := range map[string]string{"60.json": "{", "notes.txt": "x", "-1.json": "{}", "0.json": "{}"} {
		if err := os.WriteFile(filepath.Join(dir, historyDir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := ids(t, d); len(got) != keepReports-1 || slices.Contains(got, 60) {
		t.Errorf("with a damaged report: %v", got)
	}
}

func TestInFlightAndQuarantine(t *testing.T) {
	dir := t.TempDir()
	d, _ := open(t, dir)
	if f, err := d.InFlight(); err != nil || len(f.Names) > 0 {
		t.Errorf("in flight in a new directory: %+v, %v", f, err)
	}
	if q, err := d.Quarantine(); err != nil || len(q.Suspects) > 0 {
		t.Errorf("suspects in a new directory: %+v, %v", q, err)
	}
	if err := d.SaveInFlight(recover.InFlight{BootID: "b", Names: []string{"x", "y"}}); err != nil {
		t.Fatal(err)
	}
	if f, err := d.InFlight(); err != nil || f.BootID != "b" || !slices.Equal(f.Names, []string{"x", "y"}) {
		t.Errorf("in flight: %+v, %v", f, err)
	}
	if err := d.SaveInFlight(recover.InFlight{BootID: "b"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, inFlightFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file stays with nothing in flight: %v", err)
	}
	if err := d.SaveInFlight(recover.InFlight{BootID: "b"}); err != nil {
		t.Errorf("missing file: %v", err)
	}
	for _, text := range []string{"", "[]", `{"containers":["x"]}`, `{"bootId":"b","containers":["../x"]}`} {
		if err := os.WriteFile(filepath.Join(dir, inFlightFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if f, err := d.InFlight(); !errors.Is(err, recover.ErrLost) {
			t.Errorf("%q reads as %+v, %v", text, f, err)
		}
	}
	if aside, _ := filepath.Glob(filepath.Join(dir, inFlightFile+".corrupt-*")); len(aside) == 0 {
		t.Error("no copy of the damaged file is kept")
	}

	suspects := recover.Casebook{
		Suspects: recover.Quarantine{{Name: "x", Strikes: 2, Quarantined: true, Listed: true, BootID: "b"}},
		Crashes:  []recover.Crash{{BootID: "b", Cause: recover.CausePanic, InFlight: []string{"x"}}},
	}
	if err := d.SaveQuarantine(suspects); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, quarantineFile), []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Quarantine(); !errors.Is(err, recover.ErrLost) {
		t.Errorf("without an earlier generation: %v", err)
	}
	if err := errors.Join(d.SaveQuarantine(suspects), d.SaveQuarantine(recover.Casebook{})); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, quarantineFile), []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if q, err := d.Quarantine(); err != nil || !q.Same(suspects) {
		t.Errorf("last good generation: %+v, %v", q, err)
	}
	// Older versions wrote the suspects only.
	old := `[{"name":"x","strikes":2,"bootId":"b","since":"2026-11-22T22:01:12Z","quarantined":true,"listed":true}]`
	if err := os.WriteFile(filepath.Join(dir, quarantineFile), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if q, err := d.Quarantine(); err != nil || len(q.Suspects.Held()) != 1 || !q.Suspects[0].Listed {
		t.Errorf("a list of an older version: %+v, %v", q, err)
	}
}

// Only the owner may read reports: they quote what containers wrote. A report that an
// earlier version left open is narrowed when the directory is opened, and when it is
// replaced.
func TestHistoryPrivate(t *testing.T) {
	dir := t.TempDir()
	d, _ := open(t, dir)
	mode := func(id int) os.FileMode {
		t.Helper()
		info, err := os.Stat(filepath.Join(dir, reportFile(id)))
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	widen := func(id int) {
		t.Helper()
		if err := os.Chmod(filepath.Join(dir, reportFile(id)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := d.SaveReport(recover.Report{BootID: "b"}); err != nil {
			t.Fatal(err)
		}
	}
	if got := mode(1); got != 0o600 {
		t.Errorf("a new report has the mode %o", got)
	}
	widen(1)
	widen(2)
	if _, err := d.SaveReport(recover.Report{ID: 2, BootID: "again"}); err != nil || mode(2) != 0o600 {
		t.Errorf("a replaced report has the mode %o, %v", mode(2), err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir, func(string, string, error) {})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got := mode(1); got != 0o600 {
		t.Errorf("an earlier version's report keeps the mode %o", got)
	}
}

// A link in the history is left alone: what it points at is not ours.
func TestHistoryLinkKeepsMode(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(t.TempDir(), "target")
	if err := errors.Join(os.WriteFile(target, nil, 0o644), os.Mkdir(filepath.Join(dir, historyDir), 0o755),
		os.Symlink(target, filepath.Join(dir, reportFile(1)))); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	if info, err := os.Stat(target); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the target has the mode %v, %v", info, err)
	}
}
