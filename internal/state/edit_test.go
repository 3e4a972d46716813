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

// Eight processes put fifty names each on the list and take every second one
// off again, half of them as another program would: in its own words, with the
// lock. Nothing is lost.
func TestNoChangeIsLostAmongThoseThatTakeTheLock(t *testing.T) {
	path := t.TempDir()
	var all []*exec.Cmd
	var begin []io.Closer
	for i := range writers {
		cmd := exec.Command(os.Args[0], "-test.run=^TestWriter$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d\t%s", writerVariable, i, path))
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all, begin = append(all, cmd), append(begin, stdin)
	}
	for _, stdin := range begin { // all at once
		stdin.Close()
	}
	for i, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Errorf("writer %d: %v", i, err)
		}
	}
	var want []string
	for i := range writers {
		for n := range changesEach {
			if n%2 == 0 {
				want = append(want, writersName(i, n))
			}
		}
	}
	slices.Sort(want)
	d, told := open(t, path)
	names, err := d.UserStopped()
	slices.Sort(names)
	if err != nil || !slices.Equal(names, want) {
		t.Errorf("%d names are left of %d, %v", len(names), len(want), err)
	}
	if len(*told) > 0 {
		t.Errorf("reported %q", *told)
	}
	if left := contents(t, path); len(left) != 4 { // the list, its last generation, the lock, the daemon's hold
		t.Errorf("left behind: %d files", len(left))
	}
}

func writersName(writer, n int) string { return fmt.Sprintf("w%d-%d", writer, n) }

// TestWriter is the child.
func TestWriter(t *testing.T) {
	number, path, ok := strings.Cut(os.Getenv(writerVariable), "\t")
	if !ok {
		t.Skip("only as a child of TestNoChangeIsLostAmongThoseThatTakeTheLock")
	}
	i, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	d := &Dir{path: path, told: map[string]string{}, tell: func(text, file string, err error) { t.Error(text, file, err) }}
	if d.fd, err = os.Open(path); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	edit := d.EditUserStopped
	if i%2 == 1 {
		edit = func(edit func([]string) []string) (bool, error) { return true, editElsewhere(path, edit) }
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	change := func(edits func([]string) []string) {
		_, err := edit(edits)
		for errors.Is(err, recover.ErrBusy) { // a client tries again, too
			_, err = edit(edits)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range changesEach {
		change(func(names []string) []string { return append(names, writersName(i, n)) })
		if n%2 == 1 {
			change(func(names []string) []string {
				return slices.DeleteFunc(names, func(name string) bool { return name == writersName(i, n) })
			})
		}
	}
}

// editElsewhere is what docs/user-stopped.md asks of another program, word by
// word, and with none of our code.
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
	temporary := fmt.Sprintf("%s/theirs.%d", path, os.Getpid())
	return errors.Join(os.WriteFile(temporary, text, 0o644), os.Rename(temporary, path+"/user-stopped.json"))
}

// once calls do the first time only.
func once(do func()) func() {
	done := false
	return func() {
		if !done {
			done = true
			do()
		}
	}
}

// Who writes without the lock just before we do is not overwritten.
func TestAWriteWithoutTheLockIsMerged(t *testing.T) {
	const theVeryChange = "they made the very change that we make"
	for sentence, c := range map[string]struct {
		before, theirs string
		edit           func([]string) []string
		want           []string
		told           string
	}{
		"a name that they added stays":      {`["x"]`, `["x", "y"]`, add("z"), []string{"x", "y", "z"}, ""},
		"a name that they took off is off":  {`["x", "y"]`, `["y"]`, add("z"), []string{"y", "z"}, ""},
		"what we take off goes from theirs": {`["x", "y"]`, `["x", "y", "w"]`, remove("x"), []string{"y", "w"}, ""},
		"they made the file":                {"", `["y"]`, add("z"), []string{"y", "z"}, ""},
		"they were cut off":                 {`["x"]`, `["x", `, add("z"), []string{"x", "z"}, "a copy is kept as"},
		"they removed it":                   {`["x"]`, "", add("z"), []string{"x", "z"}, "the last good generation is"},
		"they wrote what was there":         {`["x"]`, `["x"]`, add("z"), []string{"x", "z"}, ""},
		theVeryChange:                       {`["x"]`, `["x", "z"]`, add("z"), []string{"x", "z"}, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			d, told := open(t, t.TempDir())
			if c.before != "" {
				put(t, d, userStoppedFile, c.before)
			}
			changed, err := d.editUserStopped(c.edit, lockWithin, once(func() {
				if c.theirs == "" {
					os.Remove(d.file(userStoppedFile))
					return
				}
				put(t, d, userStoppedFile, c.theirs)
			}))
			if changed != (sentence != theVeryChange) || err != nil {
				t.Errorf("changed %v, %v", changed, err)
			}
			if names, err := d.UserStopped(); err != nil || !slices.Equal(names, c.want) {
				t.Errorf("the list is %q, %v, want %q", names, err, c.want)
			}
			if all := strings.Join(*told, "\n"); (all == "") != (c.told == "") || !strings.Contains(all, c.told) {
				t.Errorf("reported %q", *told)
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

func TestAnotherProgramThatNeverStopsWriting(t *testing.T) {
	d, _ := open(t, t.TempDir())
	put(t, d, userStoppedFile, `[]`)
	n := 0
	_, err := d.editUserStopped(add("z"), lockWithin, func() {
		n++
		put(t, d, userStoppedFile, fmt.Sprintf(`["n%d"]`, n))
	})
	if !errors.Is(err, recover.ErrBusy) {
		t.Errorf("got %v", err)
	}
}

// A lock that is held too long is an error that says so, and changes nothing;
// when its holder is gone the list can be changed.
func TestALockThatIsHeldTooLong(t *testing.T) {
	d, _ := open(t, t.TempDir())
	if err := stop(d, "x"); err != nil {
		t.Fatal(err)
	}
	unlock, err := d.lock(lockWithin)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.editUserStopped(add("y"), 20*time.Millisecond, func() {})
	if !errors.Is(err, recover.ErrBusy) || !strings.Contains(err.Error(), "user-stopped.json.lock") {
		t.Errorf("got %v", err)
	}
	if names, err := d.UserStopped(); err != nil || !slices.Equal(names, []string{"x"}) {
		t.Errorf("while it is locked the list reads as %q, %v", names, err)
	}
	done := make(chan error, 1)
	go func() { done <- stop(d, "y") }()
	unlock()
	if err := <-done; err != nil {
		t.Errorf("after it: %v", err)
	}
}

// The file of the lock is no longer there, or is none.
func TestALockThatCannotBeTaken(t *testing.T) {
	d, _ := open(t, t.TempDir())
	if err := os.Symlink("/etc/passwd", d.file(lockFile)); err != nil {
		t.Fatal(err)
	}
	if err := stop(d, "x"); !errors.Is(err, unix.ELOOP) || !strings.Contains(err.Error(), d.file(lockFile)) {
		t.Errorf("a link: %v", err)
	}
	os.Remove(d.file(lockFile))
	if err := stop(d, "x"); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(d.file(lockFile)); err != nil || info.Mode() != 0o600 {
		t.Errorf("the lock is %v, %v", info, err)
	}
}

// File systems that cannot exchange two files are written all the same.
func TestAnExchangeByHand(t *testing.T) {
	d, _ := open(t, t.TempDir())
	put(t, d, userStoppedFile, "old")
	put(t, d, "new", "new")
	if done, err := d.exchangeByHand(userStoppedFile, []byte("older"), d.file("new")); done || err != nil {
		t.Errorf("in place of what is not there: %v, %v", done, err)
	}
	if done, err := d.exchangeByHand(userStoppedFile, []byte("old"), d.file("new")); !done || err != nil {
		t.Errorf("in place of what is there: %v, %v", done, err)
	}
	if now, err := d.read(userStoppedFile); err != nil || string(now) != "new" {
		t.Errorf("there is %q, %v", now, err)
	}
}

// A change that was read back, but did not reach the disk, is written again when
// it is asked for again: who is told that it is done may rely on that.
func TestAChangeThatWasNotSyncedIsMadeAgain(t *testing.T) {
	d, _ := open(t, t.TempDir())
	broken, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	broken.Close()
	well := d.fd
	d.fd = broken
	for range 2 {
		if err := stop(d, "x"); !errors.Is(err, os.ErrClosed) {
			t.Errorf("on a directory that cannot be synced: %v", err)
		}
	}
	d.fd = well
	if err := stop(d, "x"); err != nil || d.unsure.Load() {
		t.Errorf("on one that is well again: %v", err)
	}
}
