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
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
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
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	pinged, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := ask(pinged, &client, http.MethodGet, "_ping"); err != nil {
		return err
	}
	return ask(ctx, &client, http.MethodPost, "containers/"+url.PathEscape(name)+"/start")
}

// ask makes one request. An answer that is neither success nor "not modified", which says
// that the container runs already, is an error with podman's words.
func ask(ctx context.Context, client *http.Client, method, path string) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://podman/v4.0.0/libpod/"+path, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	switch {
	case res.StatusCode/100 != 2 && res.StatusCode != http.StatusNotModified:
		return fmt.Errorf("%s: %s", res.Status, said)
	case err != nil:
		return errors.Join(errors.New("half an answer"), err)
	}
	return nil
}
