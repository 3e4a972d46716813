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

// A test that is killed takes its machine along, and the next one removes what
// is left on the disk.
func TestNothingIsLeftBehind(t *testing.T) {
	guard(t)
	test := exec.Command(os.Args[0], "-test.run=^TestToBeKilled$")
	test.Env = append(os.Environ(), "ARCHY_VM_KILLED=yes")
	test.Stderr = os.Stderr
	said, err := test.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := test.Start(); err != nil {
		t.Fatal(err)
	}
	defer test.Process.Kill()
	var pid int
	var dir string
	for in := bufio.NewScanner(said); in.Scan(); {
		if n, _ := fmt.Sscanf(in.Text(), "on: %d %s", &pid, &dir); n == 2 {
			break
		}
	}
	if pid == 0 {
		t.Fatal("the test to be killed started no machine")
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
		t.Errorf("QEMU outlives its test (%v)", err)
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

// TestToBeKilled is the test that TestNothingIsLeftBehind kills.
func TestToBeKilled(t *testing.T) {
	if os.Getenv("ARCHY_VM_KILLED") == "" {
		t.Skip("part of another test")
	}
	m := Start(t, Options{FS: Ext4})
	m.BootNoWait()
	fmt.Println("on:", m.q.Load().cmd.Process.Pid, m.dir)
	select {}
}
