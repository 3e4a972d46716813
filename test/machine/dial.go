package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Dial connects to an address in the machine's network, from the test's process. A
// connection on the machine's loopback has no other way in. The address must be an IP
// address with a port: a name would be resolved outside of the machine.
func (m *Machine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	pid, err := m.host.leaderPID()
	if err != nil {
		return nil, err
	}
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		// A socket stays in the network of the thread that made it. The thread is not given
		// back: it ends with this goroutine.
		runtime.LockOSThread()
		conn, err := dialFrom(ctx, fmt.Sprintf("/proc/%d/ns/net", pid), network, address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// dialFrom moves this thread into the network namespace and connects there.
func dialFrom(ctx context.Context, namespace, network, address string) (net.Conn, error) {
	ns, err := os.Open(namespace)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter the machine's network: %w", err)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(host) == nil {
		return nil, errors.New(address + " is not an IP address")
	}
	// For one address, Dial makes the socket in its caller's goroutine.
	return new(net.Dialer).DialContext(ctx, network, address)
}
