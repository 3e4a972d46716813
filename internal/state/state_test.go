package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// open opens a data directory and keeps what it reports.
func open(t *testing.T, path string) (*Dir, *[]string) {
	t.Helper()
	var told []string
	d, err := Open(path, func(text, file string, err error) {
		told = append(told, fmt.Sprintf("%s: %s: %v", filepath.Base(file), text, err))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d, &told
}

func put(t *testing.T, d *Dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(d.file(name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// stop makes these names the user-stopped list.
func stop(d *Dir, names ...string) error {
	_, err := d.EditUserStopped(func([]string) []string { return names })
	return err
}

func TestMarker(t *testing.T) {
	whole := "4711\nboot_id=abc\nsoft_reboots=2\nstart_time=99\n"
	for name, c := range map[string]struct {
		content string
		want    recover.Marker
	}{
		"as we write it":                      {whole, recover.Marker{Identity: recover.Identity{BootID: "abc", SoftReboots: 2, PID: 4711, StartTime: 99}}},
		"with lines that we do not know":      {whole + "colour=red\n", recover.Marker{Identity: recover.Identity{BootID: "abc", SoftReboots: 2, PID: 4711, StartTime: 99}}},
		"a bare PID, as the old module wrote": {"4711", recover.Marker{Identity: recover.Identity{PID: 4711}, Legacy: true}},
		"a bare PID with a newline":           {"4711\n", recover.Marker{Identity: recover.Identity{PID: 4711}, Legacy: true}},
		"empty, as a power cut leaves it":     {"", recover.Marker{Garbled: true}},
		"zeroes, as a power cut leaves it":    {"\x00\x00\x00\x00", recover.Marker{Garbled: true}},
		"not a number":                        {"hello\n", recover.Marker{Garbled: true}},
		"a number that is no PID":             {"-3\n", recover.Marker{Garbled: true}},
		"a start time that is none":           {"4711\nboot_id=abc\nstart_time=x\n", recover.Marker{Garbled: true}},
	} {
		t.Run(name, func(t *testing.T) {
			d, told := open(t, t.TempDir())
			put(t, d, markerFile, c.content)
			got := d.Marker()
			if got == nil {
				t.Fatal("no marker")
			}
			if diff := cmp.Diff(c.want, *got); diff != "" {
				t.Errorf("marker (-want +got):\n%s", diff)
			}
			if c.want.Garbled != (len(*told) > 0) {
				t.Errorf("reported %q", *told)
			}
		})
	}
}

func TestMarkerRoundTrip(t *testing.T) {
	d, _ := open(t, t.TempDir())
	if d.Marker() != nil {
		t.Fatal("a marker in an empty directory")
	}
	id := recover.Identity{BootID: "b", SoftReboots: 1, PID: 5, StartTime: 6}
	if err := d.WriteMarker(id); err != nil {
		t.Fatal(err)
	}
	if got := d.Marker(); got == nil || got.Identity != id || got.Legacy || got.Garbled || got.Alive {
		t.Errorf("marker is %+v", got)
	}
	for range 2 { // removing what is gone is no error
		if err := d.RemoveMarker(); err != nil {
			t.Fatal(err)
		}
	}
	if d.Marker() != nil {
		t.Error("the marker is still there")
	}
}

// The lists are for all to read, but only its owner can hold the directory: else
// anybody could keep the daemon from starting.
func TestNobodyElseCanHoldTheDirectory(t *testing.T) {
	path := t.TempDir()
	first, _ := open(t, path)
	first.Close()
	for name := range contents(t, path) {
		if info, err := os.Stat(filepath.Join(path, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v, %v", name, info.Mode(), err)
		}
	}
	directory, err := os.Open(path) // as a reader of the lists may
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	if err := unix.Flock(int(directory.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if second, _ := open(t, path); second.held {
		t.Error("who may read the directory keeps the daemon from starting")
	}
}

func TestASecondInstanceSeesTheFirstAlive(t *testing.T) {
	path := t.TempDir()
	first, _ := open(t, path)
	second, _ := open(t, path)
	if m := second.Marker(); m == nil || !m.Alive {
		t.Errorf("before the first has marked: %+v", m)
	}
	if err := first.WriteMarker(recover.Identity{BootID: "b", PID: 7}); err != nil {
		t.Fatal(err)
	}
	if m := second.Marker(); m == nil || !m.Alive || m.PID != 7 {
		t.Errorf("after the first has marked: %+v", m)
	}
	first.Close()
	third, _ := open(t, path)
	if m := third.Marker(); m == nil || m.Alive {
		t.Errorf("after the first has died: %+v", m)
	}
}

func TestLegacyFilesAreTakenOver(t *testing.T) {
	d, told := open(t, t.TempDir())
	put(t, d, snapshotFile, `{"timestamp": 1000, "containers": [
		{"name": "archy-bitcoin-knots", "image": "bitcoin-knots:27.1"},
		{"name": "archy-mempool-web", "image": "mempool/frontend:3.0"}]}`)
	put(t, d, userStoppedFile, `["lnd"]`)
	s, err := d.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	want := recover.Snapshot{Timestamp: 1000, Containers: []recover.Container{
		{Name: "archy-bitcoin-knots", Image: "bitcoin-knots:27.1"},
		{Name: "archy-mempool-web", Image: "mempool/frontend:3.0"},
	}}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	stopped, err := d.UserStopped()
	if err != nil || !slices.Equal(stopped, []string{"lnd"}) {
		t.Errorf("user-stopped is %q, %v", stopped, err)
	}
	if len(*told) > 0 {
		t.Errorf("reported %q", *told)
	}
}

var damaged = map[string]string{
	"empty":             "",
	"cut short":         `{"timestamp": 1, "containers": [{"name": "a"`,
	"zeroes":            "\x00\x00\x00\x00\x00\x00\x00\x00",
	"of another shape":  `7`,
	"null":              `null`,
	"without its lists": `{"timestamp": 1}`,
}

func TestADamagedListIsSetAsideAndTheLastGoodOneUsed(t *testing.T) {
	for name, content := range damaged {
		t.Run(name, func(t *testing.T) {
			d, told := open(t, t.TempDir())
			good := recover.Snapshot{Timestamp: 1, Containers: []recover.Container{{Name: "a"}}}
			if err := errors.Join(d.SaveSnapshot(good), stop(d, "x")); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Snapshot(); err != nil { // reading makes it a good generation
				t.Fatal(err)
			}
			if _, err := d.UserStopped(); err != nil {
				t.Fatal(err)
			}
			put(t, d, snapshotFile, content)
			put(t, d, userStoppedFile, content)
			for range 2 { // as often as it is asked
				s, err := d.Snapshot()
				if err != nil || !s.SameSet(good) {
					t.Errorf("snapshot is %+v, %v", s, err)
				}
				stopped, err := d.UserStopped()
				if err != nil || !slices.Equal(stopped, []string{"x"}) {
					t.Errorf("user-stopped is %q, %v", stopped, err)
				}
			}
			if len(*told) != 2 {
				t.Errorf("want one report a file, got %q", *told)
			}
			for _, file := range []string{snapshotFile, userStoppedFile} {
				aside, _ := filepath.Glob(d.file(file + ".corrupt-*"))
				if len(aside) != 1 {
					t.Fatalf("%s: set aside as %q", file, aside)
				}
				if kept, _ := os.ReadFile(aside[0]); string(kept) != content {
					t.Errorf("%s holds %q", aside[0], kept)
				}
			}
		})
	}
}

func TestADamagedListWithoutAGoodGenerationIsLost(t *testing.T) {
	for name, content := range damaged {
		t.Run(name, func(t *testing.T) {
			d, _ := open(t, t.TempDir())
			put(t, d, snapshotFile, content)
			put(t, d, userStoppedFile, content)
			for range 2 { // a loss does not heal by being read
				if _, err := d.Snapshot(); !errors.Is(err, recover.ErrLost) {
					t.Errorf("Snapshot returns %v, want ErrLost", err)
				}
				if names, err := d.UserStopped(); !errors.Is(err, recover.ErrLost) {
					t.Errorf("UserStopped returns %q, %v: it must not read as nobody stopped anything", names, err)
				}
			}
		})
	}
}

func TestAMissingListFallsBackToItsLastGeneration(t *testing.T) {
	d, told := open(t, t.TempDir())
	if names, err := d.UserStopped(); err != nil || len(names) > 0 {
		t.Errorf("a list that never was: %q, %v", names, err)
	}
	if _, err := d.Snapshot(); !errors.Is(err, recover.ErrNone) {
		t.Errorf("a snapshot that never was: %v", err)
	}
	put(t, d, userStoppedFile, `["x"]`)
	if _, err := d.UserStopped(); err != nil {
		t.Fatal(err)
	}
	os.Remove(d.file(userStoppedFile))
	if names, err := d.UserStopped(); err != nil || !slices.Equal(names, []string{"x"}) {
		t.Errorf("a list that was removed: %q, %v", names, err)
	}
	if len(*told) != 1 || !strings.Contains((*told)[0], "last good generation") {
		t.Errorf("reported %q", *told)
	}
}

func TestAListWrittenByAnotherProgramIsRememberedWhenRead(t *testing.T) {
	d, _ := open(t, t.TempDir())
	for _, list := range []string{`["x"]`, `["x","y"]`} {
		put(t, d, userStoppedFile, list)
		if _, err := d.UserStopped(); err != nil {
			t.Fatal(err)
		}
	}
	put(t, d, userStoppedFile, "") // its writer was cut off in the middle
	if names, err := d.UserStopped(); err != nil || !slices.Equal(names, []string{"x", "y"}) {
		t.Errorf("user-stopped is %q, %v", names, err)
	}
}

func TestAWriteThatFailsLosesNothing(t *testing.T) {
	d, _ := open(t, t.TempDir())
	if err := stop(d, "x"); err != nil {
		t.Fatal(err)
	}
	// The temporary file cannot be made: as on a full or read-only disk.
	broken := &Dir{path: filepath.Join(d.path, "gone"), fd: d.fd, tell: d.tell, told: map[string]string{}}
	if err := stop(broken); err == nil {
		t.Error("a write into a directory that is gone succeeds")
	}
	if names, err := d.UserStopped(); err != nil || !slices.Equal(names, []string{"x"}) {
		t.Errorf("user-stopped is %q, %v", names, err)
	}
}

func TestLeftoversOfACutWriteAreSwept(t *testing.T) {
	path := t.TempDir()
	for _, name := range []string{"." + snapshotFile + "123", "." + markerFile + "9", "." + userStoppedFile + ".previous77",
		historyDir + "/.7.json123", historyDir + "/7.json~"} {
		write(t, path, name, "")
	}
	d, _ := open(t, path)
	put(t, d, "mine.txt", "other")
	if left := contents(t, path); len(left) != 2 { // mine, and the daemon's hold
		t.Errorf("left: %v", left)
	}
}

func TestStartTime(t *testing.T) {
	line := "42 (a (b) c d) S 1 42 42 0 -1 4194560 1 0 0 0 3 4 0 0 20 0 1 0 987654 1 2 3"
	if got, err := startTime([]byte(line)); err != nil || got != 987654 {
		t.Errorf("startTime is %d, %v", got, err)
	}
	if _, err := startTime([]byte("42 (x) S 1")); err == nil {
		t.Error("a line that is too short is accepted")
	}
	id, err := Here("", 0)
	if err != nil || len(id.BootID) != 32 || id.PID != os.Getpid() || id.StartTime == 0 {
		t.Errorf("Here is %+v, %v", id, err)
	}
}
