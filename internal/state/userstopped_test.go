package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"golang.org/x/sys/unix"
)

const (
	writers        = 8
	changesEach    = 50
	writerVariable = "ARCHY_STATE_WRITER"
)

// TestUserStoppedLockedWriters runs eight processes that add fifty names each to the list and
// remove every second one. Half of them are other programs with their own code. All take the
// lock, so no change is lost.
func TestUserStoppedLockedWriters(t *testing.T) {
	path := t.TempDir()
	var children []*exec.Cmd
	var begin []io.Closer // closing one lets a child begin
	for i := range writers {
		cmd := exec.Command(os.Args[0], "-test.run=^TestWriterChild$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d\t%s", writerVariable, i, path))
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		children, begin = append(children, cmd), append(begin, stdin)
	}
	for _, stdin := range begin { // all begin at the same time
		stdin.Close()
	}
	for i, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Errorf("writer %d: %v", i, err)
		}
	}
	var want []string
	for i := range writers {
		for n := range changesEach {
			if n%2 == 0 {
				want = append(want, nameOf(i, n))
			}
		}
	}
	slices.Sort(want)
	d, reported := open(t, path)
	names, err := d.UserStopped()
	slices.Sort(names)
	if err != nil || !slices.Equal(names, want) {
		t.Errorf("the list has %d names, want %d; %v", len(names), len(want), err)
	}
	if len(*reported) > 0 {
		t.Errorf("reported %q", *reported)
	}
	if left := contents(t, path); len(left) != 4 { // the list, its generation and both locks
		t.Errorf("%d files are left, want 4", len(left))
	}
}

// nameOf returns the name number n of a writer.
func nameOf(writer, n int) string { return fmt.Sprintf("w%d-%d", writer, n) }

// TestWriterChild is the child of TestUserStoppedLockedWriters.
func TestWriterChild(t *testing.T) {
	number, path, ok := strings.Cut(os.Getenv(writerVariable), "\t")
	if !ok {
		t.Skip("runs only as a child of TestUserStoppedLockedWriters")
	}
	i, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	d := &Dir{
		directory: directory{path: path}, reported: map[string]string{},
		report: func(text, file string, err error) { t.Error(text, file, err) },
	}
	if d.fd, err = os.Open(path); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	edit := d.EditUserStopped
	if i%2 == 1 {
		edit = func(edit func([]string) []string) (bool, error) { return true, editElsewhere(path, edit) }
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	change := func(f func([]string) []string) {
		_, err := edit(f)
		for errors.Is(err, recover.ErrBusy) { // a client tries again too
			_, err = edit(f)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range changesEach {
		change(func(names []string) []string { return append(names, nameOf(i, n)) })
		if n%2 == 1 {
			change(func(names []string) []string {
				return slices.DeleteFunc(names, func(name string) bool { return name == nameOf(i, n) })
			})
		}
	}
}

// editElsewhere edits the list as docs/user-stopped.md asks of another program. It uses no code
// of this package to write.
func editElsewhere(path string, edit func([]string) []string) error {
	lock, err := os.OpenFile(path+"/user-stopped.json.lock", os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	var names []string
	text, err := os.ReadFile(path + "/user-stopped.json")
	if err == nil {
		names, err = parseNames(text)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	quoted := []string{}
	for _, name := range edit(names) {
		quoted = append(quoted, strconv.Quote(name))
	}
	text = []byte("[" + strings.Join(quoted, ",") + "]")
	temporary := fmt.Sprintf("%s/other.%d", path, os.Getpid())
	return errors.Join(os.WriteFile(temporary, text, 0o644), os.Rename(temporary, path+"/user-stopped.json"))
}

// once returns a function that calls do the first time only.
func once(do func()) func() {
	done := false
	return func() {
		if !done {
			done = true
			do()
		}
	}
}

// TestUserStoppedUnlockedWriter checks that an edit merges with the list of a program that writes
// without the lock just before it.
func TestUserStoppedUnlockedWriter(t *testing.T) {
	const sameChange = "other program makes the same change"
	for name, c := range map[string]struct {
		before, other string
		edit          func([]string) []string
		want          []string
		reported      string
	}{
		"other program adds a name":      {`["x"]`, `["x", "y"]`, add("z"), []string{"x", "y", "z"}, ""},
		"other program removes a name":   {`["x", "y"]`, `["y"]`, add("z"), []string{"y", "z"}, ""},
		"the edit removes a name":        {`["x", "y"]`, `["x", "y", "w"]`, remove("x"), []string{"y", "w"}, ""},
		"other program creates the file": {"", `["y"]`, add("z"), []string{"y", "z"}, ""},
		"other program is interrupted":   {`["x"]`, `["x", `, add("z"), []string{"x", "z"}, "a copy is kept as"},
		"other program removes the file": {`["x"]`, "", add("z"), []string{"x", "z"}, "the last good generation is"},
		"other program writes the same":  {`["x"]`, `["x"]`, add("z"), []string{"x", "z"}, ""},
		sameChange:                       {`["x"]`, `["x", "z"]`, add("z"), []string{"x", "z"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, reported := open(t, t.TempDir())
			if c.before != "" {
				put(t, d, userStoppedFile, c.before)
			}
			changed, err := d.editUserStopped(c.edit, lockTimeout, once(func() {
				if c.other == "" {
					os.Remove(d.file(userStoppedFile))
					return
				}
				put(t, d, userStoppedFile, c.other)
			}))
			if changed != (name != sameChange) || err != nil {
				t.Errorf("changed %v, %v", changed, err)
			}
			if names, err := d.UserStopped(); err != nil || !slices.Equal(names, c.want) {
				t.Errorf("the list is %q, %v, want %q", names, err, c.want)
			}
			if text := strings.Join(*reported, "\n"); (text == "") != (c.reported == "") ||
				!strings.Contains(text, c.reported) {
				t.Errorf("reported %q", *reported)
			}
		})
	}
}

func add(name string) func([]string) []string {
	return func(names []string) []string {
		if slices.Contains(names, name) {
			return names
		}
		return append(names, name)
	}
}

func remove(name string) func([]string) []string {
	return func(names []string) []string {
		return slices.DeleteFunc(names, func(n string) bool { return n == name })
	}
}

func TestUserStoppedEndlessWriter(t *testing.T) {
	d, _ := open(t, t.TempDir())
	put(t, d, userStoppedFile, `[]`)
	n := 0
	_, err := d.editUserStopped(add("z"), lockTimeout, func() {
		n++
		put(t, d, userStoppedFile, fmt.Sprintf(`["n%d"]`, n))
	})
	if !errors.Is(err, recover.ErrBusy) {
		t.Errorf("got %v", err)
	}
}

// TestUserStoppedLockTimeout checks that a lock which another program keeps is an error and changes
// nothing. When the lock is free, the list can be changed.
func TestUserStoppedLockTimeout(t *testing.T) {
	d, _ := open(t, t.TempDir())
	if err := stop(d, "x"); err != nil {
		t.Fatal(err)
	}
	unlock, err := d.lock(lockTimeout)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.editUserStopped(add("y"), 20*time.Millisecond, func() {})
	if !errors.Is(err, recover.ErrBusy) || !strings.Contains(err.Error(), "user-stopped.json.lock") {
		t.Errorf("got %v", err)
	}
	if names, err := d.UserStopped(); err != nil || !slices.Equal(names, []string{"x"}) {
		t.Errorf("the locked list reads as %q, %v", names, err)
	}
	done := make(chan error, 1)
	go func() { done <- stop(d, "y") }()
	unlock()
	if err := <-done; err != nil {
		t.Errorf("after the unlock: %v", err)
	}
}

// TestUserStoppedLockUnusable puts a link in place of the lock file.
func TestUserStoppedLockUnusable(t *testing.T) {
	d, _ := open(t, t.TempDir())
	if err := os.Symlink("/etc/passwd", d.file(lockFile)); err != nil {
		t.Fatal(err)
	}
	if err := stop(d, "x"); !errors.Is(err, unix.ELOOP) || !strings.Contains(err.Error(), d.file(lockFile)) {
		t.Errorf("with a link: %v", err)
	}
	os.Remove(d.file(lockFile))
	if err := stop(d, "x"); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(d.file(lockFile)); err != nil || info.Mode() != 0o600 {
		t.Errorf("the lock file is %v, %v", info, err)
	}
}

// TestCompareAndRename writes as on a file system that cannot exchange two files.
func TestCompareAndRename(t *testing.T) {
	d, _ := open(t, t.TempDir())
	put(t, d, userStoppedFile, "old")
	put(t, d, "new", "new")
	if done, err := d.compareAndRename(userStoppedFile, []byte("older"), d.file("new")); done || err != nil {
		t.Errorf("with other content: %v, %v", done, err)
	}
	if done, err := d.compareAndRename(userStoppedFile, []byte("old"), d.file("new")); !done || err != nil {
		t.Errorf("with the expected content: %v, %v", done, err)
	}
	if now, err := d.read(userStoppedFile); err != nil || string(now) != "new" {
		t.Errorf("the file has %q, %v", now, err)
	}
}

// TestUserStoppedNotSynced checks that a change which can be read, but may not have reached the
// disk, is written again when it is asked for again. A success means that it is durable.
func TestUserStoppedNotSynced(t *testing.T) {
	d, _ := open(t, t.TempDir())
	broken, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	broken.Close()
	working := d.fd
	d.fd = broken
	for range 2 {
		if err := stop(d, "x"); !errors.Is(err, os.ErrClosed) {
			t.Errorf("with a directory that cannot be synced: %v", err)
		}
	}
	d.fd = working
	if err := stop(d, "x"); err != nil || d.unsynced.Load() {
		t.Errorf("with the working directory: %v", err)
	}
}
