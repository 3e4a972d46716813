package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// limits bound what clients can take of the daemon. Together they keep any
// client from waiting long: a connection has limits.header for a request's
// header and limits.request for its answer, and an idle connection is closed if
// others wait. Only event streams last, and they have a part of the places.
type limits struct {
	connections int
	streams     int           // how many of the connections may be event streams
	header      time.Duration // to read a request's header
	request     time.Duration // to read a request's body, and to answer
	event       time.Duration // for a client to take an event
	idle        time.Duration // between two requests of a connection
	grace       time.Duration // for requests that are under way when the server stops
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

// Bytes of a request.
const (
	maxHeader = 16 << 10
	maxBody   = 64 << 10
)

// limit bounds a request's body and its time. No request of this API has a
// body that means anything; a small one is read and dropped.
func (s *Server) limit(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.limits.request)
		defer cancel()
		c := http.NewResponseController(w)
		_ = c.SetReadDeadline(time.Now().Add(s.limits.request))
		// Later than the read deadline, so that a client that was too slow still
		// gets an answer.
		_ = c.SetWriteDeadline(time.Now().Add(s.limits.request + s.limits.event))
		var large *http.MaxBytesError
		switch _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody)); {
		case errors.As(err, &large):
			s.writeProblem(w, http.StatusRequestEntityTooLarge,
				fmt.Errorf("the request's body is larger than %d bytes", large.Limit))
		case isTimeout(err):
			s.writeProblem(w, http.StatusRequestTimeout,
				fmt.Errorf("the request's body did not arrive within %s", s.limits.request))
		case err != nil:
			s.writeProblem(w, http.StatusBadRequest, fmt.Errorf("cannot read the request's body: %w", err))
		default:
			h.ServeHTTP(w, r.WithContext(ctx))
		}
	})
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
