package state

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

// The power fails between any two system calls of a write, and of what was not
// synced any part may be lost: then the state must be the old one or the new.
//
// Each operation runs once for real, in a child under strace. From its system
// calls every directory is built that a crash can leave behind: cut after each
// call; of the directory's changes since its last fsync any subset; of a file
// that was not synced nothing, half or all. Each of them is opened again.
func TestACrashAtAnyMomentLeavesTheOldStateOrTheNew(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is missing: run `make deps`")
	}
	t.Parallel()
	for name, op := range operations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			before := prepare(t, dir)
			trace := runTraced(t, name, dir)
			after := contents(t, dir)
			oldState, newState := op.read(t, before), op.read(t, after)
			if oldState == newState {
				t.Fatalf("the operation changes nothing: %s", oldState)
			}
			crashes := 0
			for _, files := range crashStates(t, before, after, trace) {
				crashes++
				if got := op.read(t, files); got != oldState && got != newState {
					t.Errorf("a crash leaves %q, read as %s: neither the old state %s nor the new %s",
						slices.Sorted(maps.Keys(files)), got, oldState, newState)
				}
			}
			// The last state of all is the whole trace with nothing lost: what is
			// done when the call returns is durable.
			for _, files := range lastStates(t, before, after, trace) {
				if got := op.read(t, files); got != newState {
					t.Errorf("a crash after the call had returned leaves %s, want %s", got, newState)
				}
			}
			if crashes < 2 {
				t.Errorf("only %d crashes were tried: was the trace understood?\n%s", crashes, trace)
			}
		})
	}
}

type operation struct {
	do func(*Dir) error
	// readIn says what the state reads as.
	readIn func(*Dir) string
	// removes: it writes nothing.
	removes bool
}

// read says what a directory with these files reads as.
func (op operation) read(t *testing.T, files map[string]string) string {
	t.Helper()
	return reading(t, files, op.readIn)
}

var operations = map[string]operation{
	"WriteMarker": {
		func(d *Dir) error { return d.WriteMarker(recover.Identity{BootID: "b2", PID: 9}) },
		func(d *Dir) string { return fmt.Sprintf("%+v", *d.Marker()) },
		false,
	},
	"RemoveMarker": {
		(*Dir).RemoveMarker,
		func(d *Dir) string { return fmt.Sprint(d.Marker() == nil) },
		true,
	},
	"SaveSnapshot": {
		func(d *Dir) error {
			return d.SaveSnapshot(recover.Snapshot{Timestamp: 2, Containers: []recover.Container{{Name: "two"}}})
		},
		func(d *Dir) string { s, err := d.Snapshot(); return fmt.Sprint(s.Containers, err) },
		false,
	},
	"EditUserStopped": {
		func(d *Dir) error { return stop(d, "x", "y") },
		func(d *Dir) string { names, err := d.UserStopped(); return fmt.Sprint(names, err) },
		false,
	},
	"SaveInFlight": {
		func(d *Dir) error { return d.SaveInFlight(recover.InFlight{BootID: "b2", Names: []string{"two"}}) },
		func(d *Dir) string { f, err := d.InFlight(); return fmt.Sprint(f, err) },
		false,
	},
	"SaveInFlight of nothing": {
		func(d *Dir) error { return d.SaveInFlight(recover.InFlight{BootID: "b2"}) },
		func(d *Dir) string { f, err := d.InFlight(); return fmt.Sprint(f, err) },
		true,
	},
	"SaveQuarantine": {
		func(d *Dir) error { return d.SaveQuarantine(recover.Quarantine{{Name: "two"}}) },
		func(d *Dir) string { q, err := d.Quarantine(); return fmt.Sprint(q, err) },
		false,
	},
	"SaveReport": {
		func(d *Dir) error { return report(d, recover.Report{ID: 2, BootID: "b2"}) },
		reports,
		false,
	},
	"SaveReport again": {
		func(d *Dir) error { return report(d, recover.Report{ID: 1, BootID: "b2"}) },
		reports,
		false,
	},
}

func reports(d *Dir) string {
	all, err := d.Reports()
	words := []any{err}
	for _, r := range all {
		words = append(words, r.ID, r.BootID)
	}
	return fmt.Sprint(words...)
}

// prepare makes a directory with one generation of everything.
func prepare(t *testing.T, dir string) map[string]string {
	t.Helper()
	d, _ := open(t, dir)
	err := errors.Join(
		d.WriteMarker(recover.Identity{BootID: "b1", PID: 7}),
		d.SaveSnapshot(recover.Snapshot{Timestamp: 1, Containers: []recover.Container{{Name: "one"}}}),
		stop(d, "x"),
		d.SaveInFlight(recover.InFlight{BootID: "b1", Names: []string{"one"}}),
		d.SaveQuarantine(recover.Quarantine{{Name: "one"}}),
		report(d, recover.Report{BootID: "b1"}),
		d.Close())
	if err != nil {
		t.Fatal(err)
	}
	return contents(t, dir)
}

func report(d *Dir, r recover.Report) error {
	_, err := d.SaveReport(r)
	return err
}

// contents are the files by their names in dir.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		files[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func reading(t *testing.T, files map[string]string, read func(*Dir) string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, dir, name, text)
	}
	d, _ := open(t, dir)
	defer d.Close()
	return read(d)
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

const childVariable = "ARCHY_STATE_OPERATION"

// TestOperation is the child: it does one operation.
func TestOperation(t *testing.T) {
	name, dir, ok := strings.Cut(os.Getenv(childVariable), "\t")
	if !ok {
		t.Skip("only as a child of the crash test")
	}
	d, _ := open(t, dir)
	if err := operations[name].do(d); err != nil {
		t.Fatal(err)
	}
}

func runTraced(t *testing.T, name, dir string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-y", "-o", out,
		"-e", "trace=openat,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,link,linkat,truncate,ftruncate",
		os.Args[0], "-test.run=^TestOperation$")
	cmd.Env = append(os.Environ(), childVariable+"="+name+"\t"+dir)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, dir) && !strings.Contains(line, " = -1 ") {
			ours = append(ours, line)
		}
	}
	return strings.ReplaceAll(strings.Join(ours, ""), dir, "DIR")
}

// A disk is the directory as the kernel has it, and as a crash may leave it.
type disk struct {
	durable map[string]int // name -> file, as of the directory's last fsync
	pending []change       // since then
	names   map[string]int // as the kernel has it
	files   []file
}

type file struct {
	text   string // all of it
	synced bool
}

// A change of the directory: name is this file from now on, -1 for none.
type change struct {
	name, gone string // gone: the name that a rename takes away
	file       int
	back       *int // the file that gone is instead, where a rename exchanges
}

// sync makes the changes of one directory durable, "" for ours.
func (d *disk) sync(dir string) {
	d.pending = slices.DeleteFunc(d.pending, func(c change) bool {
		in := c.in() == dir
		if in {
			c.apply(d.durable)
		}
		return in
	})
}

// in is the directory that a change is of.
func (c change) in() string {
	if dir := path.Dir(c.name); dir != "." {
		return dir
	}
	return ""
}

// apply makes the change to a directory.
func (c change) apply(names map[string]int) {
	if delete(names, c.gone); c.back != nil {
		names[c.gone] = *c.back
	}
	if names[c.name] = c.file; c.file < 0 {
		delete(names, c.name)
	}
}

var (
	created = regexp.MustCompile(`openat\(.*"DIR/([^"]+)", [A-Z_|]*O_CREAT`)
	synced  = regexp.MustCompile(`f(?:data)?sync\(\d+<DIR(?:/([^>]+))?>`)
	renamed = regexp.MustCompile(`rename.*"DIR/([^"]+)".*"DIR/([^"]+)"`)
	removed = regexp.MustCompile(`unlink.*"DIR/([^"]+)"`)
)

// replay runs the trace and calls each after every system call that matters.
func replayTrace(t *testing.T, before, after map[string]string, trace string, each func(*disk)) *disk {
	t.Helper()
	d := &disk{durable: map[string]int{}, names: map[string]int{}}
	for name, text := range before {
		d.files = append(d.files, file{text, true})
		d.names[name], d.durable[name] = len(d.files)-1, len(d.files)-1
	}
	lines := strings.Split(trace, "\n")
	for i, line := range lines {
		switch {
		case created.MatchString(line):
			name := created.FindStringSubmatch(line)[1]
			d.files = append(d.files, file{text: finalText(lines[i:], name, after)})
			d.names[name] = len(d.files) - 1
			d.pending = append(d.pending, change{name: name, file: d.names[name]})
		case synced.MatchString(line):
			name := synced.FindStringSubmatch(line)[1]
			if file, ok := d.names[name]; ok {
				d.files[file].synced = true
			} else {
				d.sync(name)
			}
		case renamed.MatchString(line):
			m := renamed.FindStringSubmatch(line)
			c := change{name: m[2], gone: m[1], file: d.names[m[1]]}
			if strings.Contains(line, "RENAME_EXCHANGE") {
				old := d.names[m[2]]
				c.back = &old
			}
			c.apply(d.names)
			d.pending = append(d.pending, c)
		case removed.MatchString(line):
			c := change{name: removed.FindStringSubmatch(line)[1], file: -1}
			c.apply(d.names)
			d.pending = append(d.pending, c)
		default:
			continue
		}
		each(d)
	}
	return d
}

// finalText is what a new file will hold: what is found in the end under the
// name that it is given.
func finalText(trace []string, name string, after map[string]string) string {
	for _, line := range trace {
		if m := renamed.FindStringSubmatch(line); m != nil && m[1] == name {
			name = m[2]
		}
	}
	return after[name]
}

// left calls each with every directory that a crash now can leave.
func (d *disk) left(each func(map[string]string)) {
	for subset := range 1 << len(d.pending) {
		names := maps.Clone(d.durable)
		for i, c := range d.pending {
			if subset&(1<<i) == 0 {
				continue
			}
			c.apply(names)
		}
		var loose []string // names of files that were not synced
		for name, f := range names {
			if !d.files[f].synced {
				loose = append(loose, name)
			}
		}
		slices.Sort(loose)
		for variant := range pow(3, len(loose)) {
			files := map[string]string{}
			for name, f := range names {
				files[name] = d.files[f].text
			}
			for _, name := range loose {
				text := files[name]
				files[name] = []string{text, text[:len(text)/2], ""}[variant%3]
				variant /= 3
			}
			each(files)
		}
	}
}

func pow(base, exponent int) int {
	n := 1
	for range exponent {
		n *= base
	}
	return n
}

// crashStates lists each directory that a crash can leave, once.
func crashStates(t *testing.T, before, after map[string]string, trace string) []map[string]string {
	t.Helper()
	seen := map[string]map[string]string{}
	replayTrace(t, before, after, trace, func(d *disk) {
		d.left(func(files map[string]string) { seen[key(files)] = files })
	})
	return slices.Collect(maps.Values(seen))
}

// lastStates lists those that a crash can leave when all calls are made.
func lastStates(t *testing.T, before, after map[string]string, trace string) []map[string]string {
	t.Helper()
	var states []map[string]string
	replayTrace(t, before, after, trace, func(*disk) {}).left(func(files map[string]string) {
		states = append(states, files)
	})
	return states
}

func key(files map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b.WriteString(strconv.Quote(name) + strconv.Quote(files[name]))
	}
	return b.String()
}
