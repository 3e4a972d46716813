// Command start-container starts one existing container. It is the ExecStart= of the units
// that archy-recovery generates:
//
//	start-container SOCKET /usr/bin/podman start NAME
//
// It asks the podman that serves SOCKET, which runs already, so no podman has to be started
// for each container. That saves some nine tenths of the CPU time of a `podman start`. If
// that podman does not start the container, whatever the reason, the command after SOCKET
// does it. So its words and its exit status are podman's own.
//
// A recovery runs it once for each container, so what it starts with counts. The packages
// net, net/http and fmt would take more CPU time to start than all the rest.
package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// pingTimeout is how long podman may take to say that it answers. A podman that hangs would
// otherwise hold up a start that does not need it.
const pingTimeout = 5 * time.Second

func main() {
	if len(os.Args) < 4 {
		say("usage: start-container SOCKET PODMAN start NAME; see archy-recovery(1)")
		os.Exit(2)
	}
	socket, command := os.Args[1], os.Args[2:]
	err := start(socket, command[len(command)-1])
	if err == nil {
		return
	}
	say("podman's service did not start the container, so podman start does: " + err.Error())
	err = syscall.Exec(command[0], command, os.Environ())
	say("cannot execute " + command[0] + ": " + err.Error())
	os.Exit(1)
}

func say(line string) { _, _ = os.Stderr.WriteString(line + "\n") }

// start has the podman that serves socket start a container.
// (GET /libpod/_ping, POST /libpod/containers/{name}/start)
func start(socket, name string) error {
	if strings.Trim(name, nameLetters) != "" {
		return errors.New("its name would be another path")
	}
	if err := ask(socket, "GET", "_ping", pingTimeout); err != nil {
		return err
	}
	return ask(socket, "POST", "containers/"+name+"/start", 0)
}

// nameLetters are those of podman's names (libpod/define.NameRegex).
const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

// ask makes one request of HTTP/1.0, whose answer ends with the connection and is not chunked
// (RFC 1945, 7.2.2). It waits for each part of the answer so long, without an end for 0. An
// answer that is neither success nor "not modified", which says that the container runs
// already, is an error with podman's words.
func ask(socket, method, path string, within time.Duration) error {
	conn, err := connect(socket, within)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.WriteString(method + " /v4.0.0/libpod/" + path + " HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, 16<<10))
	if errors.Is(err, syscall.EAGAIN) {
		return errors.New("it did not answer within " + within.String())
	}
	if err != nil {
		return err
	}
	head, body, whole := strings.Cut(string(answer), "\r\n\r\n")
	line, _, _ := strings.Cut(head, "\r\n")
	protocol, status, _ := strings.Cut(line, " ")
	switch {
	case !whole || !strings.HasPrefix(protocol, "HTTP/1.") || len(status) < len("200"):
		return errors.New(method + " " + path + ": this is not a whole answer: " + string(answer))
	case status[0] == '2' || strings.HasPrefix(status, notModified):
		return nil
	}
	return errors.New(status + ": " + body)
}

// notModified is podman's status for a container that runs already.
const notModified = "304"

// connect connects to a unix socket. Each call on it takes at most so long, without an end
// for 0, and fails with EAGAIN then (socket(7), SO_RCVTIMEO).
func connect(socket string, within time.Duration) (*os.File, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	limit := syscall.NsecToTimeval(within.Nanoseconds())
	for _, option := range []int{syscall.SO_RCVTIMEO, syscall.SO_SNDTIMEO} {
		if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, option, &limit); err != nil {
			_ = syscall.Close(fd)
			return nil, os.NewSyscallError("setsockopt", err)
		}
	}
	for {
		err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: socket})
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), socket), nil
		case syscall.EINTR: // by a signal of Go's own
			continue
		}
		_ = syscall.Close(fd)
		return nil, &os.PathError{Op: "connect", Path: socket, Err: err}
	}
}
