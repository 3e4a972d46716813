package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// guestAddress is the address that disk.sh gives the machine.
const guestAddress = "10.0.2.15"

// Dial connects to the port of [Options.Publish], from outside of the machine. The network
// and the address are not used: there is only one way in.
func (m *VM) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if m.port == 0 {
		return nil, errors.New("the machine publishes no port")
	}
	return new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", m.port))
}

// forward returns the options of QEMU's router for the published port. Only the host's
// own programs reach it.
func (m *VM) forward() string {
	if m.port == 0 {
		return ""
	}
	return fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-%s:%d", m.port, guestAddress, m.opts.Publish)
}

// freePort returns a port of the host that nobody uses.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
