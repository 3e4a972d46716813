package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"archy-recovery/test/vm/wire"
)

// agent runs the test's requests side by side until the port closes.
func agent() error {
	port, err := openPort()
	if err != nil {
		return err
	}
	defer port.Close()
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	reply := replier(port)
	reply(wire.Reply{Boot: strings.ReplaceAll(strings.TrimSpace(string(id)), "-", "")})

	in := bufio.NewReader(port)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var req wire.Request
		if json.Unmarshal(line, &req) != nil || len(req.Args) == 0 {
			continue // the rest of a request that an earlier boot did not read
		}
		go func() { reply(run(req)) }()
	}
}

// openPort finds the port by its name in sysfs. udev, which would make a link of
// that name, is masked.
func openPort() (*os.File, error) {
	names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if text, _ := os.ReadFile(name); strings.TrimSpace(string(text)) == wire.Port {
			return os.OpenFile(filepath.Join("/dev", filepath.Base(filepath.Dir(name))), os.O_RDWR, 0)
		}
	}
	return nil, fmt.Errorf("the machine has no serial port %s", wire.Port)
}

// replier returns a function that writes whole replies. Any goroutine may call
// it.
func replier(w io.Writer) func(wire.Reply) {
	var mu sync.Mutex
	// An earlier boot that was cut may have left half a line.
	_, _ = w.Write([]byte("\n"))
	return func(r wire.Reply) {
		line, err := json.Marshal(r)
		if err != nil {
			line = fmt.Appendf(nil, `{"id":%d,"error":%q}`, r.ID, err.Error())
		}
		mu.Lock()
		defer mu.Unlock()
		if _, err := w.Write(append(line, '\n')); err != nil {
			fmt.Fprintln(os.Stderr, "guest: reply:", err)
		}
	}
}

func run(req wire.Request) wire.Reply {
	ctx, cancel := context.WithTimeout(context.Background(), req.Limit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, req.Args[0], req.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(req.Stdin), &stdout, &stderr
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LANG=C.UTF-8", "TERM=dumb", "HOME=/root", "USER=root"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// The command may leave a background process that keeps its output open.
	cmd.WaitDelay = 2 * time.Second

	err := cmd.Run()
	reply := wire.Reply{ID: req.ID, Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		reply.Error = fmt.Sprintf("killed after %v", req.Limit)
	case errors.As(err, &exit) && exit.Exited():
		reply.Exit = exit.ExitCode()
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		reply.Error = err.Error()
	}
	return reply
}
