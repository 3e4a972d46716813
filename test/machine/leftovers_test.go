package machine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// victimEnv makes TestVictim the program that the tests of leftovers kill.
const victimEnv = "ARCHY_MACHINE_TEST_VICTIM"

// timeToLook is the time that a victim's timeout leaves the test to look at the running machine.
const timeToLook = 2 * time.Second

// TestVictim is no test of its own. It starts a machine, prints its directory and
// its processes, and waits until it is ended.
func TestVictim(t *testing.T) {
	if os.Getenv(victimEnv) == "" {
		t.Skip("only the tests of leftovers run this")
	}
	m := Start(t)
	m.As(User).MustRun("podman", "run", "--detach", Image)
	leader, err := m.host.leaderPID()
	if err != nil {
		t.Fatal(err)
	}
	if end, ok := t.Deadline(); ok && time.Until(end) < timeToLook {
		t.Fatal("the machine was up too late for the test to look at it")
	}
	fmt.Printf("victim %s %d %d\n", m.host.dir, m.host.cmd.Process.Pid, leader)
	io.Copy(io.Discard, os.Stdin)
	if os.Getenv(victimEnv) == "panic" {
		panic("the test asked for a panic")
	}
}

// victim is a test process whose machine runs.
type victim struct {
	cmd                *exec.Cmd
	stdin              io.Closer
	dir                string
	supervisor, leader int
}

// startVictim starts a victim that ends by how: "return" or "panic".
func startVictim(t *testing.T, how string) *victim {
	t.Helper()
	v := tryVictim(t, how)
	if v == nil {
		t.Fatal("the victim did not start its machine")
	}
	return v
}

// startVictimWithTimeout starts a victim that go test's timeout ends. The timeout counts from the
// start of the program, so it is doubled until the machine is up in time.
func startVictimWithTimeout(t *testing.T) *victim {
	t.Helper()
	for limit := 5 * time.Second; limit < 5*time.Minute; limit *= 2 {
		if v := tryVictim(t, "return", "-test.timeout="+limit.String()); v != nil {
			return v
		}
	}
	t.Fatal("the victim did not start its machine before any of its timeouts")
	return nil
}

// tryVictim returns nil if the victim ended before its machine was up.
func tryVictim(t *testing.T, how string, args ...string) *victim {
	t.Helper()
	if testing.Short() {
		t.Skip("-short skips machine tests")
	}
	v := &victim{cmd: exec.Command("/proc/self/exe", append([]string{"-test.run=^TestVictim$"}, args...)...)}
	v.cmd.Env = append(os.Environ(), victimEnv+"="+how)
	var err error
	if v.stdin, err = v.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.cmd.Process.Kill() })
	in := bufio.NewScanner(out)
	for in.Scan() {
		if _, err := fmt.Sscanf(in.Text(), "victim %s %d %d", &v.dir, &v.supervisor, &v.leader); err == nil {
			go io.Copy(io.Discard, out)
			return v
		}
	}
	v.cmd.Wait()
	return nil
}

// leftovers returns all traces of the machine: processes, mounts, cgroups, files.
func (v *victim) leftovers() (all []string) {
	for _, pid := range []int{v.supervisor, v.leader} {
		if syscall.Kill(pid, 0) == nil {
			all = append(all, fmt.Sprintf("process %d", pid))
		}
	}
	// Every process of the machine sees its mounts.
	tables, _ := filepath.Glob("/proc/[0-9]*/mountinfo")
	for _, table := range tables {
		if text, err := os.ReadFile(table); err == nil && strings.Contains(string(text), v.dir+"/") {
			all = append(all, table)
		}
	}
	// The unified hierarchy is in one of these two places.
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if dir := filepath.Join(root, cgroupName(v.dir)); exists(dir) {
			all = append(all, dir)
		}
	}
	if exists(v.dir) {
		all = append(all, v.dir)
	}
	return all
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// wantNothingLeft gives the supervisor 10 s to remove everything. The supervisor
// is an orphan by now, so the test cannot wait for its end.
func (v *victim) wantNothingLeft(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	left := v.leftovers()
	for ; len(left) > 0 && time.Now().Before(deadline); left = v.leftovers() {
		time.Sleep(20 * time.Millisecond)
	}
	if len(left) > 0 {
		t.Errorf("left behind: %s", strings.Join(left, ", "))
	}
}

func TestNothingLeft(t *testing.T) {
	t.Parallel()
	returning := func(t *testing.T) *victim { return startVictim(t, "return") }
	panicking := func(t *testing.T) *victim { return startVictim(t, "panic") }
	for _, test := range []struct {
		name  string
		start func(*testing.T) *victim
		end   func(v *victim)
	}{
		{"end", returning, func(v *victim) { v.stdin.Close() }},
		{"panic", panicking, func(v *victim) { v.stdin.Close() }},
		{"test_timeout", startVictimWithTimeout, func(*victim) {}},
		{"interrupt", returning, func(v *victim) { v.cmd.Process.Signal(os.Interrupt) }},
		{"kill", returning, func(v *victim) { v.cmd.Process.Kill() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := test.start(t)
			// Without this, the check below could pass by finding nothing at all.
			if len(v.leftovers()) < 5 {
				t.Fatalf("a running machine has only these traces: %s", v.leftovers())
			}
			test.end(v)
			v.cmd.Wait()
			v.wantNothingLeft(t)
		})
	}
}

// TestSupervisorKilled checks that no process and no mount outlives a killed
// supervisor, and that the next machine removes the rest.
func TestSupervisorKilled(t *testing.T) {
	t.Parallel()
	v := startVictim(t, "return")
	v.cmd.Process.Kill()
	syscall.Kill(v.supervisor, syscall.SIGKILL)
	v.cmd.Wait()
	deadline := time.Now().Add(10 * time.Second)
	for {
		left := strings.Join(v.leftovers(), ", ")
		if !strings.Contains(left, "process") && !strings.Contains(left, "mountinfo") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %s", left)
		}
		time.Sleep(20 * time.Millisecond)
	}
	Start(t, Off())
	v.wantNothingLeft(t)
}
