// Command start-container starts one existing container. It is the ExecStart= of the units
// that archy-recovery generates:
//
//	start-container SOCKET /usr/bin/podman start NAME
//
// It asks the podman that serves SOCKET, which runs already, so no podman has to be started
// for each container. That saves some nine tenths of the CPU time of a `podman start`. If
// that podman does not start the container, whatever the reason, the command after SOCKET
// does it. So its words and its exit status are podman's own.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pingTimeout is how long podman may take to say that it answers. A podman that hangs would
// otherwise hold up a start that does not need it.
const pingTimeout = 5 * time.Second

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: start-container SOCKET PODMAN start NAME; see archy-recovery(1)")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	socket, command := os.Args[1], os.Args[2:]
	err := start(ctx, socket, command[len(command)-1])
	if err == nil {
		return
	}
	if ctx.Err() != nil {
		os.Exit(1) // stopped: nothing is to be started any more
	}
	stop()
	fmt.Fprintf(os.Stderr, "podman's service did not start the container, so podman start does: %v\n", err)
	err = syscall.Exec(command[0], command, os.Environ())
	fmt.Fprintf(os.Stderr, "cannot execute %s: %v\n", command[0], err)
	os.Exit(1)
}

// start has the podman that serves socket start a container.
// (GET /libpod/_ping, POST /libpod/containers/{name}/start)
func start(ctx context.Context, socket, name string) error {
	pinged, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := ask(pinged, socket, "GET", "_ping"); err != nil {
		return err
	}
	return ask(ctx, socket, "POST", "containers/"+url.PathEscape(name)+"/start")
}

// ask makes one request. An answer that is neither success nor "not modified", which says
// that the container runs already, is an error with podman's words.
//
// The package net/http would take as much CPU time to start as all the rest of this program.
// A request of HTTP/1.0 needs no more than this: its answer ends with the connection, and is
// not chunked (RFC 1945, 7.2.2).
func ask(ctx context.Context, socket, method, path string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := fmt.Fprintf(conn, "%s /v4.0.0/libpod/%s HTTP/1.0\r\n\r\n", method, path); err != nil {
		return err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, 16<<10))
	if err != nil {
		return cmp.Or(ctx.Err(), fmt.Errorf("half an answer: %w", err))
	}
	head, body, whole := strings.Cut(string(answer), "\r\n\r\n")
	status, _, _ := strings.Cut(head, "\r\n")
	protocol, status, _ := strings.Cut(status, " ")
	code, err := strconv.Atoi(status[:min(3, len(status))])
	switch {
	case !whole || err != nil || !strings.HasPrefix(protocol, "HTTP/1."):
		return fmt.Errorf("%s %s: %q is not a whole answer", method, path, answer)
	case code/100 == 2 || code == notModified:
		return nil
	}
	return fmt.Errorf("%s: %s", status, body)
}

// notModified is podman's status for a container that runs already.
const notModified = 304
