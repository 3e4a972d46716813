package control

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// limits bound what clients can take of the daemon. They add up so that nobody
// is kept out for long: a connection is new for at most header, works for at
// most request, and is let go when it idles and others wait; what may last,
// an event stream, has only a part of the places.
type limits struct {
	connections int
	streams     int           // of them, how many may be event streams
	header      time.Duration // until a request's header is there
	request     time.Duration // until its body is there, and until it is answered
	event       time.Duration // until an event is taken
	idle        time.Duration // between two requests
	grace       time.Duration // for requests that are under way at the stop
}

var defaultLimits = limits{
	connections: 64,
	streams:     32,
	header:      5 * time.Second,
	request:     30 * time.Second,
	event:       10 * time.Second,
	idle:        30 * time.Second,
	grace:       2 * time.Second,
}

const (
	maxHeader = 16 << 10
	maxBody   = 64 << 10
)

// A gate bounds the connections that a listener accepts. Others stay in the
// socket's queue, where the kernel keeps them until there is a place: a client
// sees a slow answer and no error. A connection that only waits for its next
// request gives its place to them.
type gate struct {
	net.Listener
	places    chan struct{}
	keepAlive func(bool) // of the server
	quiet     func()     // told when the last connection has ended
	closing   sync.Once
	closed    chan struct{}
}

func newGate(listener net.Listener, places int, keepAlive func(bool), quiet func()) *gate {
	return &gate{Listener: listener, places: make(chan struct{}, places), keepAlive: keepAlive, quiet: quiet, closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case g.places <- struct{}{}:
	default:
		g.keepAlive(false) // which also ends those that idle now
		defer g.keepAlive(true)
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
	g.closing.Do(func() { close(g.closed) })
	return g.Listener.Close()
}

// left is the server's ConnState: it frees the place of a connection that ends.
func (g *gate) left(_ net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	<-g.places
	if len(g.places) <= 1 { // that of Accept, which waits
		g.quiet()
	}
}

// enterStream takes one of the places for event streams, or answers that there
// is none.
func (s *Server) enterStream(w http.ResponseWriter) (leave func(), ok bool) {
	select {
	case s.streams <- struct{}{}:
		return func() { <-s.streams }, true
	default:
		s.busy(w, fmt.Errorf("%d others follow the events already; ask for /v1/status instead, or try again later", cap(s.streams)))
		return nil, false
	}
}

// busy answers that the same request may succeed in a moment.
func (s *Server) busy(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "5")
	s.problem(w, http.StatusServiceUnavailable, err)
}

// tooSlow reports whether a client did not send its body in time.
func tooSlow(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
