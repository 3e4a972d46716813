package vm

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// A machine ends with its test when the test is killed. The next machine removes
// the directory.
func TestNothingLeft(t *testing.T) {
	requireVM(t)
	test := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	test.Env = append(os.Environ(), victimEnv+"=yes")
	test.Stderr = os.Stderr
	output, err := test.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := test.Start(); err != nil {
		t.Fatal(err)
	}
	defer test.Process.Kill()
	var pid int
	var dir string
	for in := bufio.NewScanner(output); in.Scan(); {
		if n, _ := fmt.Sscanf(in.Text(), "on: %d %s", &pid, &dir); n == 2 {
			break
		}
	}
	if pid == 0 {
		t.Fatal("the victim did not start its machine")
	}
	qemu, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(qemu)
	if err := test.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// A pidfd is readable when its process has ended.
	const tooLong = 10_000
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(qemu), Events: unix.POLLIN}}, tooLong); n != 1 {
		t.Errorf("QEMU still runs %d ms after its test was killed (%v)", tooLong, err)
	}
	_ = test.Wait() // killed
	next, lock, err := newDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(next)
	defer lock.Close()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the killed test's directory: %v, want %v", err, fs.ErrNotExist)
	}
}

// victimEnv makes TestVictim the program that TestNothingLeft kills.
const victimEnv = "ARCHY_VM_TEST_VICTIM"

// TestVictim is no test of its own. It starts a machine and waits until it is
// killed.
func TestVictim(t *testing.T) {
	if os.Getenv(victimEnv) == "" {
		t.Skip("only TestNothingLeft runs this")
	}
	m := Start(t, Options{FS: Ext4})
	m.BootNoWait()
	fmt.Println("on:", m.q.Load().cmd.Process.Pid, m.dir)
	select {}
}
