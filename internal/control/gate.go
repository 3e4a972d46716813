package control

import (
	"net"
	"net/http"
	"sync"
)

// A gate is a listener that bounds its open connections. When all places are
// taken, further connections stay in the socket's queue in the kernel: their
// clients wait, and get no error. The gate then has the server close the
// connections that are idle.
type gate struct {
	net.Listener
	places       chan struct{} // holds one element per open connection, and one for Accept
	setKeepAlive func(on bool) // http.Server.SetKeepAlivesEnabled
	idle         func()        // called when the last connection has ended
	closeOnce    sync.Once
	closed       chan struct{}
}

func newGate(listener net.Listener, places int, setKeepAlive func(bool), idle func()) *gate {
	return &gate{
		Listener: listener, places: make(chan struct{}, places), setKeepAlive: setKeepAlive, idle: idle,
		closed: make(chan struct{}),
	}
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case g.places <- struct{}{}:
	default:
		g.setKeepAlive(false) // which also closes the connections that are idle now
		defer g.setKeepAlive(true)
		select {
		case g.places <- struct{}{}:
		case <-g.closed:
			return nil, net.ErrClosed
		}
	}
	conn, err := g.Listener.Accept()
	if err != nil {
		<-g.places
	}
	return conn, err
}

// Close implements net.Listener.
func (g *gate) Close() error {
	g.closeOnce.Do(func() { close(g.closed) })
	return g.Listener.Close()
}

// connState frees the place of a connection that ends. It is for
// http.Server.ConnState.
func (g *gate) connState(_ net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	<-g.places
	if len(g.places) <= 1 { // only that of Accept, which waits for a connection
		g.idle()
	}
}
