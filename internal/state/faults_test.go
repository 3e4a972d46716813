package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A disk that is full, without inodes left, or read-only: each operation says
// so, the old state stands and is read, and when the disk is well again the
// same process can write. The disk is a real one, a small tmpfs in a mount
// namespace of a child's own, for which one need not be root.
func TestADiskThatTakesNothing(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestOnATinyDisk$", "-test.v")
	cmd.Env = append(os.Environ(), tinyDiskVariable+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	text, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOSPC) {
		t.Skipf("this kernel gives no user namespaces: %v", err)
	}
	if err != nil || !strings.Contains(string(text), "--- PASS: TestOnATinyDisk/") {
		t.Errorf("%v\n%s", err, text)
	}
}

const tinyDiskVariable = "ARCHY_STATE_TINY_DISK"

// TestOnATinyDisk is the child: it mounts the disk over the directory.
func TestOnATinyDisk(t *testing.T) {
	path := os.Getenv(tinyDiskVariable)
	if path == "" {
		t.Skip("only as a child of TestADiskThatTakesNothing")
	}
	for disk, c := range map[string]struct {
		options string // of the tmpfs: room for the state, and little more
		break_  func(*testing.T)
		mend    func(*testing.T)
		want    error
	}{
		"full": {"size=64k",
			func(t *testing.T) { fill(t, filepath.Join(path, "ballast")) },
			func(t *testing.T) { os.Remove(filepath.Join(path, "ballast")) },
			unix.ENOSPC},
		"without inodes": {"nr_inodes=20",
			func(t *testing.T) {
				for i := 0; os.WriteFile(filepath.Join(path, fmt.Sprint("ballast", i)), nil, 0o644) == nil; i++ {
				}
			},
			func(t *testing.T) {
				all, _ := filepath.Glob(filepath.Join(path, "ballast*"))
				for _, name := range all {
					os.Remove(name)
				}
			},
			unix.ENOSPC},
		"read-only": {"",
			func(t *testing.T) { mount(t, path, unix.MS_REMOUNT|unix.MS_RDONLY, "") },
			func(t *testing.T) { mount(t, path, unix.MS_REMOUNT, "") },
			unix.EROFS},
	} {
		for name, op := range operations {
			t.Run(disk+"/"+name, func(t *testing.T) {
				mount(t, path, 0, c.options)
				defer unix.Unmount(path, unix.MNT_DETACH)
				before := prepare(t, path)
				old := op.read(t, before)
				d, told := open(t, path)
				c.break_(t)
				err := op.do(d)
				if err == nil && c.want == unix.ENOSPC && op.removes {
					return // which takes no room
				}
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("the operation says %v, want %v and the file's name", err, c.want)
				}
				if got := op.readIn(d); got != old {
					t.Errorf("the state reads as %s, want the old one, %s", got, old)
				}
				if len(*told) > 1 {
					t.Errorf("reported %q", *told)
				}
				c.mend(t)
				wantNothingLeft(t, path)
				if err := op.do(d); err != nil {
					t.Errorf("on a disk that is well again: %v", err)
				}
				if got := op.readIn(d); got == old {
					t.Error("the second try changes nothing")
				}
			})
		}
	}
}

// wantNothingLeft wants no temporary file.
func wantNothingLeft(t *testing.T, dir string) {
	t.Helper()
	for name := range contents(t, dir) {
		if base := filepath.Base(name); strings.HasPrefix(base, ".") || strings.HasSuffix(base, "~") {
			t.Errorf("left behind: %s", name)
		}
	}
}

func mount(t *testing.T, path string, flags uintptr, options string) {
	t.Helper()
	if err := unix.Mount("tmpfs", path, "tmpfs", flags, strings.Trim("mode=755,"+options, ",")); err != nil {
		t.Fatalf("mount a tmpfs: %v", err)
	}
}

// fill takes all of a disk's room, to the last byte.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 4096; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

// A disk that fails, or is slow, at each of an operation's calls in turn
// (strace injects it): the operation says so, and what is read is the old
// state, or the new one where only the directory could not be synced any more.
// A second try, on a disk that is well, works.
func TestADiskThatFails(t *testing.T) {
	t.Parallel()
	for name, op := range operations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, call := range []string{"fsync", "renameat", "renameat2", "unlinkat"} {
				for n := 1; ; n++ {
					dir := t.TempDir()
					old := op.read(t, prepare(t, dir))
					injected, hit := runInjected(t, name, dir, fmt.Sprintf("%s:error=EIO:when=%d", call, n))
					if !hit {
						break // the operation makes no more such calls
					}
					t.Run(fmt.Sprintf("%s %d", call, n), func(t *testing.T) { op.wantKept(t, dir, old, injected) })
				}
			}
		})
	}
}

// wantKept wants an operation that a disk disturbed to have said so, to have left
// the state old or new, and to work when it is tried again.
func (op operation) wantKept(t *testing.T, dir, old string, r injected) {
	t.Helper()
	after := op.read(t, r.files)
	d, _ := open(t, dir)
	if err := op.do(d); err != nil {
		t.Errorf("the second try: %v", err)
	}
	second := op.readIn(d)
	if !strings.Contains(r.err, "input/output error") || !strings.Contains(r.err, dir) {
		// Of the last good generation that could not be kept the
		// log tells; the write itself went well.
		if after == old || !strings.Contains(r.told, "input/output error") {
			t.Errorf("the operation says %q, and reports %q: want the error and the file's name", r.err, r.told)
		}
	}
	if after != old && after != second {
		t.Errorf("the state reads as %s, want the old one, %s, or the new one, %s", after, old, second)
	}
	if second == old {
		t.Error("the second try changes nothing")
	}
	wantNothingLeft(t, dir)
}

// While a sync takes long, the old state is read without delay.
func TestASlowDiskHoldsUpNoReader(t *testing.T) {
	t.Parallel()
	for name, op := range operations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			old := op.read(t, prepare(t, dir))
			report, hit := runInjected(t, name, dir, fmt.Sprintf("fsync:delay_enter=%d", slowSync.Microseconds()))
			if !hit || report.err != "" {
				t.Fatalf("slowed down: %t; the operation says %q", hit, report.err)
			}
			if got := op.read(t, contents(t, dir)); got == old {
				t.Error("the state is still the old one")
			}
			if slowest, err := time.ParseDuration(report.slowest); err != nil || slowest > slowSync/2 {
				t.Errorf("the slowest reading took %q, %v", report.slowest, err)
			}
		})
	}
}

const slowSync = 2 * time.Second

// An injected is what became of an operation that was disturbed.
type injected struct {
	err, told, slowest string
	files              map[string]string // afterwards
}

// runInjected has a child do the operation, with a fault that strace injects. It reports whether the fault came.
func runInjected(t *testing.T, name, dir, fault string) (r injected, hit bool) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is missing: run `make deps`")
	}
	trace, report := filepath.Join(t.TempDir(), "trace"), t.TempDir()
	cmd := exec.Command("strace", "-f", "-o", trace, "-e", "trace=fsync,renameat,renameat2,unlinkat", "-e", "inject="+fault,
		os.Args[0], "-test.run=^TestDisturbedOperation$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s\t%s\t%s\t%t", disturbedVariable, name, dir, report, strings.Contains(fault, "delay")))
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	r.files = contents(t, report)
	r.err, r.told, r.slowest = r.files["ERR"], r.files["TOLD"], r.files["SLOWEST"]
	for _, extra := range []string{"ERR", "TOLD", "SLOWEST"} {
		delete(r.files, extra)
	}
	return r, strings.Contains(string(text), "INJECTED") || strings.Contains(string(text), "DELAYED")
}

const disturbedVariable = "ARCHY_STATE_DISTURBED"

// TestDisturbedOperation is the child: it does one operation, reading the state
// meanwhile if so told, and keeps what the directory is then.
func TestDisturbedOperation(t *testing.T) {
	words := strings.Split(os.Getenv(disturbedVariable), "\t")
	if len(words) != 4 {
		t.Skip("only as a child of the tests above")
	}
	op, dir, report, reading := operations[words[0]], words[1], words[2], words[3] == "true"
	d, told := open(t, dir)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // strace counts each thread's calls
		done <- op.do(d)
	}()
	var err error
	var slowest time.Duration
	if reading {
		slowest, err = readUntil(done, func() string { return op.readIn(d) })
	} else {
		err = <-done
	}
	for name, text := range contents(t, dir) {
		write(t, report, name, text)
	}
	if err != nil {
		write(t, report, "ERR", err.Error())
	}
	write(t, report, "TOLD", strings.Join(*told, "\n"))
	write(t, report, "SLOWEST", slowest.String())
}

// readUntil reads the state over and over until done says how the operation
// went, and returns how long it took at most to read the old one.
func readUntil(done <-chan error, read func() string) (slowest time.Duration, err error) {
	old := read() // and if that keeps a generation, it does so now
	for {
		began := time.Now()
		if read() == old {
			slowest = max(slowest, time.Since(began))
		}
		select {
		case err := <-done:
			return slowest, err
		default:
		}
	}
}
