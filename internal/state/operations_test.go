package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"archy-recovery/internal/recover"
)

// An operation changes the data directory. The tests of crashes and disk faults run each one.
type operation struct {
	do func(*Dir) error
	// readIn returns the state that the operation changes, as text.
	readIn func(*Dir) string
	// removes says that the operation only removes a file, so it needs no room.
	removes bool
	// first comes before the operation.
	first func(*Dir) error
	// without is a file that is not there before the operation.
	without string
	// soon says that the change is durable with the next one that is durable when it returns.
	soon bool
}

// read returns the state of a directory with these files.
func (op operation) read(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, dir, name, text)
	}
	d, _ := open(t, dir)
	defer d.Close()
	return op.readIn(d)
}

var operations = map[string]operation{
	"KeepArchive": {
		do: func(d *Dir) error { return keep(archivesOf(d), archived, "an image") },
		readIn: func(d *Dir) string {
			kept, err := archivesOf(d).Kept()
			text := fmt.Sprint(err)
			for _, k := range kept {
				content, err := os.ReadFile(archivesOf(d).Path(k.ID))
				text += fmt.Sprintf(" %s %d %s %v", k.ID, k.Size, content, err)
			}
			return text
		},
	},
	"WriteMarker": {
		do:      func(d *Dir) error { return d.WriteMarker(marker2(recover.LeftNothing)) },
		readIn:  markerIn,
		without: markerFile,
	},
	"WriteMarker again": {
		do:     func(d *Dir) error { return d.WriteMarker(marker2(recover.LeftNothing)) },
		readIn: markerIn,
		soon:   true,
	},
	"WriteMarker again, and start": {
		do: func(d *Dir) error {
			return errors.Join(d.WriteMarker(marker2(recover.LeftNothing)),
				d.SaveInFlight(recover.InFlight{BootID: "b2", Names: []string{"two"}}))
		},
		readIn: markerIn,
	},
	// Of what is left in another boot alone, the next boot would restore nothing.
	"WriteMarker over what is left in the boot": {
		first:  func(d *Dir) error { return d.WriteMarker(marker2(recover.LeftInBoot)) },
		do:     func(d *Dir) error { return d.WriteMarker(marker2(recover.LeftNothing)) },
		readIn: markerIn,
	},
	"WriteMarker with what is left": {
		do:     func(d *Dir) error { return d.WriteMarker(marker2(recover.LeftStarts)) },
		readIn: markerIn,
	},
	"RemoveMarker": {
		do:      (*Dir).RemoveMarker,
		readIn:  func(d *Dir) string { return fmt.Sprint(d.Marker() == nil) },
		removes: true,
	},
	"SaveSnapshot": {
		do: func(d *Dir) error {
			return d.SaveSnapshot(recover.Snapshot{Timestamp: 2, Containers: []recover.Container{{Name: "two"}}})
		},
		readIn: func(d *Dir) string { s, err := d.Snapshot(); return fmt.Sprint(s.Containers, err) },
	},
	"EditUserStopped": {
		do:     func(d *Dir) error { return stop(d, "x", "y") },
		readIn: func(d *Dir) string { names, err := d.UserStopped(); return fmt.Sprint(names, err) },
	},
	"SaveInFlight": {
		do:     func(d *Dir) error { return d.SaveInFlight(recover.InFlight{BootID: "b2", Names: []string{"two"}}) },
		readIn: func(d *Dir) string { f, err := d.InFlight(); return fmt.Sprint(f, err) },
	},
	"SaveInFlight empty": {
		do:      func(d *Dir) error { return d.SaveInFlight(recover.InFlight{BootID: "b2"}) },
		readIn:  func(d *Dir) string { f, err := d.InFlight(); return fmt.Sprint(f, err) },
		removes: true,
	},
	"SaveQuarantine": {
		do: func(d *Dir) error {
			return d.SaveQuarantine(recover.Casebook{Suspects: recover.Quarantine{{Name: "two"}}})
		},
		readIn: func(d *Dir) string { q, err := d.Quarantine(); return fmt.Sprint(q, err) },
	},
	"SaveReport": {
		do:     func(d *Dir) error { return report(d, recover.Report{ID: 2, BootID: "b2"}) },
		readIn: reports,
	},
	"SaveReport again": {
		do:     func(d *Dir) error { return report(d, recover.Report{ID: 1, BootID: "b2"}) },
		readIn: reports,
	},
}

// readings change only the last good generation, and report no disk that cannot be written.
var readings = map[string]operation{
	// Another program, which writes in place, may be cut short at any time after the list was read.
	"UserStopped": {
		first: func(d *Dir) error { return os.WriteFile(d.file(userStoppedFile), []byte(`["x", "y"]`), 0o644) },
		do:    func(d *Dir) error { _, err := d.UserStopped(); return err },
		readIn: func(d *Dir) string {
			torn := os.WriteFile(d.file(userStoppedFile), []byte(`["x", "y", "`), 0o644)
			names, err := d.UserStopped()
			return fmt.Sprint(names, err != nil, torn)
		},
	},
}

func marker2(left recover.Leftover) recover.Marker {
	return recover.Marker{Identity: recover.Identity{BootID: "b2", PID: 9}, Left: left}
}

func markerIn(d *Dir) string {
	if m := d.Marker(); m != nil {
		return fmt.Sprintf("%+v", *m)
	}
	return "none"
}

// reports returns the IDs and boots of the reports.
func reports(d *Dir) string {
	all, err := d.Reports()
	words := []any{err}
	for _, r := range all {
		words = append(words, r.ID, r.BootID)
	}
	return fmt.Sprint(words...)
}

// prepare fills a directory with one generation of every file, and returns the files.
func prepare(t *testing.T, dir string) map[string]string {
	t.Helper()
	d, _ := open(t, dir)
	err := errors.Join(
		d.WriteMarker(recover.Marker{Identity: recover.Identity{BootID: "b1", PID: 7}}),
		d.SaveSnapshot(recover.Snapshot{Timestamp: 1, Containers: []recover.Container{{Name: "one"}}}),
		stop(d, "x"),
		d.SaveInFlight(recover.InFlight{BootID: "b1", Names: []string{"one"}}),
		d.SaveQuarantine(recover.Casebook{Suspects: recover.Quarantine{{Name: "one"}}}),
		report(d, recover.Report{BootID: "b1"}),
		d.Close())
	if err != nil {
		t.Fatal(err)
	}
	return contents(t, dir)
}

// report saves a report.
func report(d *Dir, r recover.Report) error {
	_, err := d.SaveReport(r)
	return err
}

// contents returns the files of a directory, by their names relative to it.
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

// write creates a file, and the directory that it is in.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}
