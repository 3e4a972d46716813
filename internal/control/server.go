package control

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"

	"archy-recovery/internal/daemon"
	"archy-recovery/internal/recover"
)

// A Server answers the API for one service.
type Server struct {
	responder
	service    *daemon.Service
	instance   string // what /v1/status names the instance
	version    string
	uid        int // the instance's user, which may change things
	limits     limits
	streams    chan struct{} // holds one element per open event stream
	plans      throttle[recover.Preview]
	reports    throttle[[]recover.Report]
	counts     counts
	history    historyCache
	boots      throttle[[]EndedBoot]
	listBoots  bootLister // may be nil
	unitLookup unitLookup // may be nil
	idle       func()
}

// NewServer returns a server for service. It names the instance ("system", or
// the UID) and the version in its answers. Only root and uid may change things.
func NewServer(service *daemon.Service, instance, version string, uid int, log *slog.Logger) *Server {
	return newServer(service, instance, version, uid, log, defaultLimits)
}

func newServer(service *daemon.Service, instance, version string, uid int, log *slog.Logger, l limits) *Server {
	return &Server{
		service: service, instance: instance, version: version, uid: uid, limits: l,
		responder: responder{log},
		streams:   make(chan struct{}, l.streams),
		plans:     newThrottle[recover.Preview](), reports: newThrottle[[]recover.Report](),
		boots: newThrottle[[]EndedBoot](),
		idle:  func() {},
	}
}

// OnIdle sets what the server calls each time its last connection ends. Call
// it before Serve.
func (s *Server) OnIdle(idle func()) { s.idle = idle }

// stopKey is the key of the channel, in a request's context, that is closed when the
// server stops.
type stopKey struct{}

// Serve answers on listener until ctx ends. It then accepts nothing more, waits
// up to limits.grace for requests that are under way, and returns nil. It
// returns an error if the listener fails.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: s.limits.header,
		IdleTimeout:       s.limits.idle,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext:       withPeer,
		// A stop ends the event streams at once, and no other request.
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.WithoutCancel(ctx), stopKey{}, ctx.Done())
		},
	}
	bounded := newGate(listener, s.limits.connections, server.SetKeepAlivesEnabled, s.idle)
	server.ConnState = bounded.connState
	s.counts.connections = func() int { return len(bounded.places) }
	shutDown := make(chan error, 1)
	cancelShutdown := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.grace)
		defer cancel()
		shutDown <- errors.Join(server.Shutdown(grace), server.Close())
	})
	err := server.Serve(bounded)
	if !cancelShutdown() { // ctx has ended
		<-shutDown
		return nil
	}
	return err
}
