package state

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCrashDuringWrite checks that a power failure leaves the old state or the new one. It may come
// between any two system calls of a write, and any unsynced part may be lost.
//
// Each operation runs once for real, in a child under strace. From its system calls the test
// builds every directory that a crash can leave. It cuts after each call. It takes any subset
// of the directory's changes since its last fsync. It keeps none, half or all of an unsynced
// file. Then it opens each directory.
func TestCrashDuringWrite(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("strace is missing: run `make deps`")
	}
	t.Parallel()
	all := maps.Clone(operations)
	maps.Copy(all, readings)
	for name, op := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			before := prepare(t, dir)
			if op.first != nil {
				d, _ := open(t, dir)
				if err := errors.Join(op.first(d), d.Close()); err != nil {
					t.Fatal(err)
				}
				before = contents(t, dir)
			}
			if op.without != "" {
				delete(before, op.without)
				if err := os.Remove(filepath.Join(dir, op.without)); err != nil {
					t.Fatal(err)
				}
			}
			trace := runTraced(t, name, dir)
			after := contents(t, dir)
			oldState, newState := op.read(t, before), op.read(t, after)
			if oldState == newState {
				t.Fatalf("the operation changes nothing: the state is %s", oldState)
			}
			crashes := 0
			for _, files := range crashStates(t, before, after, trace) {
				crashes++
				if got := op.read(t, files); got != oldState && got != newState {
					t.Errorf("a crash leaves %q, which reads as %s, not as the old state %s or the new %s",
						slices.Sorted(maps.Keys(files)), got, oldState, newState)
				}
			}
			if crashes < 2 {
				t.Errorf("only %d crashes from this trace:\n%s", crashes, trace)
			}
			if op.soon {
				return
			}
			// A change is durable when the operation returns.
			for _, files := range lastStates(t, before, after, trace) {
				if got := op.read(t, files); got != newState {
					t.Errorf("a crash after the operation leaves %s, want %s", got, newState)
				}
			}
		})
	}
}

const childVariable = "ARCHY_STATE_OPERATION"

// TestOperationChild is the child process of TestCrashDuringWrite. It does one operation.
func TestOperationChild(t *testing.T) {
	name, dir, ok := strings.Cut(os.Getenv(childVariable), "\t")
	if !ok {
		t.Skip("runs only as a child of TestCrashDuringWrite")
	}
	d, _ := open(t, dir)
	op, ok := operations[name]
	if !ok {
		op = readings[name]
	}
	if err := op.do(d); err != nil {
		t.Fatal(err)
	}
}

// runTraced does an operation in a child and returns its system calls in the data directory,
// which it names DIR.
func runTraced(t *testing.T, name, dir string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-y", "-o", out,
		"-e", "trace=openat,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,link,linkat,truncate,ftruncate",
		os.Args[0], "-test.run=^TestOperationChild$")
	cmd.Env = append(os.Environ(), childVariable+"="+name+"\t"+dir)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var calls []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, dir) && !strings.Contains(line, " = -1 ") {
			calls = append(calls, line)
		}
	}
	return strings.ReplaceAll(strings.Join(calls, ""), dir, "DIR")
}
