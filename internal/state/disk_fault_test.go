package state

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestDiskFails lets each system call of an operation fail in turn. The operation returns an
// error that says so. The state is then the old one, or the new one if only the fsync of the
// directory failed. A second try on a working disk succeeds. strace injects the errors.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	for name, op := range operations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, call := range []string{"fsync", "renameat", "renameat2", "unlinkat"} {
				for n := 1; ; n++ {
					dir := t.TempDir()
					oldState := op.read(t, prepare(t, dir))
					injected, hit := runInjected(t, name, dir, fmt.Sprintf("%s:error=EIO:when=%d", call, n))
					if !hit {
						break // the operation makes no more such calls
					}
					t.Run(fmt.Sprintf("%s %d", call, n), func(t *testing.T) {
						op.checkFailure(t, dir, oldState, injected)
					})
				}
			}
		})
	}
}

// checkFailure checks an operation that the disk let fail: its error, the state after it, and
// a second try.
func (op operation) checkFailure(t *testing.T, dir, oldState string, r injected) {
	t.Helper()
	after := op.read(t, r.files)
	d, _ := open(t, dir)
	if err := op.do(d); err != nil {
		t.Errorf("the second try: %v", err)
	}
	second := op.readIn(d)
	if !strings.Contains(r.err, "input/output error") || !strings.Contains(r.err, dir) {
		// Only the last good generation could not be kept. That is reported, and the write
		// itself succeeded.
		if after == oldState || !strings.Contains(r.reported, "input/output error") {
			t.Errorf("the operation returns %q and reports %q, want the error and the file's name", r.err, r.reported)
		}
	}
	if after != oldState && after != second {
		t.Errorf("the state reads as %s, want the old one, %s, or the new one, %s", after, oldState, second)
	}
	if second == oldState {
		t.Error("the second try changes nothing")
	}
	checkNoTemporaryFile(t, dir)
}

// TestDiskSlow checks that the old state is read without delay while an fsync takes long.
func TestDiskSlow(t *testing.T) {
	t.Parallel()
	for name, op := range operations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			oldState := op.read(t, prepare(t, dir))
			report, hit := runInjected(t, name, dir, fmt.Sprintf("fsync:delay_enter=%d", slowSync.Microseconds()))
			if !hit || report.err != "" {
				t.Fatalf("slowed down: %t; the operation returns %q", hit, report.err)
			}
			if got := op.read(t, contents(t, dir)); got == oldState {
				t.Error("the state is still the old one")
			}
			if slowest, err := time.ParseDuration(report.slowest); err != nil || slowest > slowSync/2 {
				t.Errorf("the slowest read took %q, %v", report.slowest, err)
			}
		})
	}
}

const slowSync = 2 * time.Second

// An injected is the result of an operation with an injected fault.
type injected struct {
	err, reported, slowest string
	files                  map[string]string // after the operation
}

// runInjected does an operation in a child, with a fault that strace injects. It reports
// whether the fault happened.
func runInjected(t *testing.T, name, dir, fault string) (r injected, hit bool) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is missing: run `make deps`")
	}
	trace, report := filepath.Join(t.TempDir(), "trace"), t.TempDir()
	cmd := exec.Command("strace", "-f", "-o", trace,
		"-e", "trace=fsync,renameat,renameat2,unlinkat", "-e", "inject="+fault,
		os.Args[0], "-test.run=^TestFaultChild$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s\t%s\t%s\t%t",
		faultVariable, name, dir, report, strings.Contains(fault, "delay")))
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	r.files = contents(t, report)
	r.err, r.reported, r.slowest = r.files["ERR"], r.files["REPORTED"], r.files["SLOWEST"]
	for _, extra := range []string{"ERR", "REPORTED", "SLOWEST"} {
		delete(r.files, extra)
	}
	return r, strings.Contains(string(text), "INJECTED") || strings.Contains(string(text), "DELAYED")
}

const faultVariable = "ARCHY_STATE_FAULT"

// TestFaultChild is the child of TestDiskFails and TestDiskSlow. It does one operation, and
// copies the directory after it. If so asked, it reads the state during the operation.
func TestFaultChild(t *testing.T) {
	words := strings.Split(os.Getenv(faultVariable), "\t")
	if len(words) != 4 {
		t.Skip("runs only as a child of the tests above")
	}
	op, dir, report, reading := operations[words[0]], words[1], words[2], words[3] == "true"
	d, reported := open(t, dir)
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
	write(t, report, "REPORTED", strings.Join(*reported, "\n"))
	write(t, report, "SLOWEST", slowest.String())
}

// readUntil reads the state repeatedly until the operation is done. It returns the longest
// time that a read of the old state took, and the operation's error.
func readUntil(done <-chan error, read func() string) (slowest time.Duration, err error) {
	oldState := read() // this also keeps a generation, if the state has any
	for {
		began := time.Now()
		if read() == oldState {
			slowest = max(slowest, time.Since(began))
		}
		select {
		case err := <-done:
			return slowest, err
		default:
		}
	}
}
