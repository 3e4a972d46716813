package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"archy-recovery/internal/recover"
)

// eventInterval is the least time between two events of a stream. A recovery
// changes hundreds of times a second, and each event is the whole status.
const eventInterval = 100 * time.Millisecond

// getEvents sends the status, and again whenever it changes, as server-sent
// events (https://html.spec.whatwg.org/multipage/server-sent-events.html). A
// client that reads slowly misses intermediate steps, never the last one. A
// client that does not take an event within limits.event is disconnected.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) {
	leave, ok := s.enterStream(w)
	if !ok {
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	c := http.NewResponseController(w)
	stopped, _ := r.Context().Value(stopKey{}).(<-chan struct{})
	for {
		st, changed := s.status()
		data, err := json.Marshal(st)
		if err != nil {
			s.log.Error("cannot encode the status", "MESSAGE_ID", recover.MsgImpaired, "error", err)
			return
		}
		_ = c.SetWriteDeadline(time.Now().Add(s.limits.event))
		if _, err := fmt.Fprintf(w, "event: status\ndata: %s\n\n", data); err != nil {
			return
		}
		if err := c.Flush(); err != nil {
			return
		}
		for _, wait := range []<-chan struct{}{after(r.Context(), eventInterval), changed} {
			select {
			case <-wait:
			case <-stopped:
				return
			case <-r.Context().Done():
				return
			}
		}
	}
}

// enterStream takes a place for an event stream. It answers 503 if all places
// are taken.
func (s *Server) enterStream(w http.ResponseWriter) (leave func(), ok bool) {
	select {
	case s.streams <- struct{}{}:
		return func() { <-s.streams }, true
	default:
		s.writeBusy(w, fmt.Errorf("%d event streams are open, and no more are allowed; "+
			"ask for /v1/status instead, or try again later", cap(s.streams)))
		return nil, false
	}
}

// after returns a channel that is closed after d, or when ctx ends.
func after(ctx context.Context, d time.Duration) <-chan struct{} {
	ctx, cancel := context.WithTimeout(ctx, d)
	context.AfterFunc(ctx, cancel)
	return ctx.Done()
}

// Follow calls each with the status, and again with each change. It returns nil
// when each returns false, io.ErrUnexpectedEOF when the daemon ends the stream,
// and the context's error when ctx ends.
func (c *Client) Follow(ctx context.Context, each func(Status) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	res, err := c.send(ctx, http.MethodGet, "events")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		var st Status
		if err := json.Unmarshal(data, &st); err != nil {
			return fmt.Errorf("cannot read the daemon's event: %w", err)
		}
		if !each(st) {
			return nil
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.Join(io.ErrUnexpectedEOF, lines.Err())
}
