package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"archy-recovery/internal/daemon"
	"archy-recovery/internal/recover"
)

// Server answers for one daemon.Service.
type Server struct {
	service  *daemon.Service
	instance string
	version  string
	uid      int // besides root, who may change things
	log      *slog.Logger
	limits   limits
	streams  chan struct{} // a place each event stream
	plans    dear[recover.Preview]
	reports  dear[[]recover.Report]
	counts   counts
	history  history
	askUnit  func(ctx context.Context, pid int) (string, error) // nil: nobody to ask
	quiet    func()
}

// NewServer returns a server for the instance that runs as uid.
func NewServer(service *daemon.Service, instance, version string, uid int, log *slog.Logger) *Server {
	return newServer(service, instance, version, uid, log, defaultLimits)
}

func newServer(service *daemon.Service, instance, version string, uid int, log *slog.Logger, l limits) *Server {
	return &Server{service: service, instance: instance, version: version, uid: uid, log: log, quiet: func() {},
		limits: l, streams: make(chan struct{}, l.streams), plans: newDear[recover.Preview](), reports: newDear[[]recover.Report]()}
}

// WhenQuiet has the server call do whenever the last of its clients has gone. To
// be called before Serve.
func (s *Server) WhenQuiet(do func()) { s.quiet = do }

// Serve answers on listener until ctx ends; then it lets requests that are
// under way end, for a moment.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: s.limits.header,
		IdleTimeout:       s.limits.idle,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext:       withPeer,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	gate := newGate(listener, s.limits.connections, server.SetKeepAlivesEnabled, s.quiet)
	server.ConnState = gate.left
	s.counts.connections = func() int { return len(gate.places) }
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.grace)
		defer cancel()
		stopped <- errors.Join(server.Shutdown(grace), server.Close())
	})
	err := server.Serve(gate)
	if !stop() {
		<-stopped
		return nil
	}
	return err
}

func (s *Server) handler() http.Handler {
	mux, _ := s.routes()
	return s.orProblem(mux)
}

// routes are all that is answered, and their patterns. docs/openapi.yaml
// describes each; a test holds the two together.
func (s *Server) routes() (mux *http.ServeMux, patterns []string) {
	mux = http.NewServeMux()
	register := func(pattern string, h http.Handler) {
		mux.Handle(pattern, h)
		patterns = append(patterns, pattern)
	}
	read := func(pattern string, h http.HandlerFunc) { register(pattern, s.limit(h)) }
	change := func(pattern string, h http.HandlerFunc) { register(pattern, s.limit(s.mayChange(h))) }
	register("GET /v1/events", http.HandlerFunc(s.getEvents)) // as long as the client listens
	read("GET /metrics", s.getMetrics)
	read("GET /v1/status", s.getStatus)
	read("GET /v1/user-stopped", s.getUserStopped)
	change("PUT /v1/user-stopped/{name}", func(w http.ResponseWriter, r *http.Request) { s.setUserStopped(w, r, true) })
	change("DELETE /v1/user-stopped/{name}", func(w http.ResponseWriter, r *http.Request) { s.setUserStopped(w, r, false) })
	read("GET /v1/quarantine", s.getQuarantine)
	change("DELETE /v1/quarantine/{name}", s.release)
	read("GET /v1/recoveries", s.getRecoveries)
	read("GET /v1/recoveries/{id}", s.getRecovery)
	read("GET /v1/plan", s.getPlan)
	change("POST /v1/snapshot", s.postSnapshot)
	return mux, patterns
}

// limit bounds a request's body and its time. No request here has a body that
// means anything; a small one is taken and dropped.
func (s *Server) limit(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.limits.request)
		defer cancel()
		c := http.NewResponseController(w)
		_ = c.SetReadDeadline(time.Now().Add(s.limits.request))
		// Later, so that whoever ran out of time is still told.
		_ = c.SetWriteDeadline(time.Now().Add(s.limits.request + s.limits.event))
		var large *http.MaxBytesError
		switch _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody)); {
		case errors.As(err, &large):
			s.problem(w, http.StatusRequestEntityTooLarge, fmt.Errorf("the body is larger than %d bytes", large.Limit))
		case tooSlow(err):
			s.problem(w, http.StatusRequestTimeout, fmt.Errorf("the body was not there within %s", s.limits.request))
		case err != nil:
			s.problem(w, http.StatusBadRequest, fmt.Errorf("the body cannot be read: %w", err))
		default:
			h.ServeHTTP(w, r.WithContext(ctx))
		}
	})
}

// mayChange lets root and the instance's own user through.
func (s *Server) mayChange(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := peerOf(r.Context())
		if err == nil && (p.uid == 0 || p.uid == s.uid) {
			h.ServeHTTP(w, r)
			return
		}
		s.counts.refusals.Add(1)
		s.log.Warn("refused", "MESSAGE_ID", recover.MsgRefused, "request", r.Method+" "+r.URL.Path,
			"peer_pid", p.pid, "peer_uid", p.uid, "peer_unit", s.unitOf(r.Context(), p.pid))
		s.problem(w, http.StatusForbidden, fmt.Errorf("only root and uid %d may change things here; you are another user", s.uid))
	})
}

func (s *Server) status() (Status, <-chan struct{}) {
	st, changed := s.service.Status()
	notes := st.Recovery.Notes
	stopped, err := s.service.UserStopped()
	if err != nil {
		notes = append(notes, fmt.Sprintf("the user-stopped list cannot be read: %v", err))
	}
	progress := st.Progress
	if st.RecoveryComplete {
		progress = st.Recovery.Summary()
	}
	return Status{
		Instance:         s.instance,
		State:            st.State,
		RecoveryComplete: st.RecoveryComplete,
		Progress:         progress,
		UptimeSeconds:    st.Uptime.Seconds(),
		PID:              st.Identity.PID,
		BootID:           st.Identity.BootID,
		Version:          s.version,
		Verdict:          st.Recovery.Verdict,
		Started:          st.Recovery.Started,
		Finished:         st.Recovery.Finished,
		Containers:       orEmpty(st.Recovery.Rows),
		Notes:            notes,
		UserStopped:      orEmpty(stopped),
		Quarantine:       orEmpty(st.Quarantine),
		RecoveryID:       st.Recovery.ID,
		Mode:             st.Recovery.Mode,
		Snapshot:         whole(st.Set),
	}, changed
}

// orEmpty has JSON say [] where there is nothing, and not null.
func orEmpty[S ~[]E, E any](s S) S {
	if s == nil {
		return S{}
	}
	return s
}

// whole has a snapshot's containers said also where there are none.
func whole(s recover.Snapshot) recover.Snapshot {
	s.Containers = orEmpty(s.Containers)
	return s
}

func (s *Server) getStatus(w http.ResponseWriter, _ *http.Request) {
	st, _ := s.status()
	s.answer(w, st)
}

// getEvents sends the status, and again whenever it changes, as server-sent
// events. A client that reads slowly misses steps in between, never the last;
// one that does not read is dropped.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) {
	leave, ok := s.enterStream(w)
	if !ok {
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	c := http.NewResponseController(w)
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
		for _, wait := range []<-chan struct{}{after(r.Context(), eventEvery), changed} {
			select {
			case <-wait:
			case <-r.Context().Done():
				return
			}
		}
	}
}

// eventEvery is the least time between two events of a stream: in recovery there
// are hundreds of changes a second, and each event is the whole status.
const eventEvery = 100 * time.Millisecond

// after is closed after d, or with ctx.
func after(ctx context.Context, d time.Duration) <-chan struct{} {
	ctx, cancel := context.WithTimeout(ctx, d)
	context.AfterFunc(ctx, cancel)
	return ctx.Done()
}

func (s *Server) getUserStopped(w http.ResponseWriter, _ *http.Request) {
	s.answerUserStopped(w, false)
}

func (s *Server) setUserStopped(w http.ResponseWriter, r *http.Request, stopped bool) {
	name := r.PathValue("name")
	if err := recover.CheckName(name); err != nil {
		s.problem(w, http.StatusBadRequest, err)
		return
	}
	changed, err := s.service.SetUserStopped(name, stopped)
	if errors.Is(err, recover.ErrBusy) {
		s.busy(w, err)
		return
	}
	if err != nil {
		s.problem(w, http.StatusInternalServerError, err)
		return
	}
	s.answerUserStopped(w, changed)
}

func (s *Server) answerUserStopped(w http.ResponseWriter, changed bool) {
	names, err := s.service.UserStopped()
	if err != nil {
		s.problem(w, http.StatusInternalServerError, err)
		return
	}
	s.answer(w, UserStopped{orEmpty(names), changed})
}

func (s *Server) getQuarantine(w http.ResponseWriter, _ *http.Request) {
	st, _ := s.service.Status()
	s.answer(w, Quarantine{orEmpty(st.Quarantine)})
}

func (s *Server) release(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if err := recover.CheckName(name); err != nil {
		s.problem(w, http.StatusBadRequest, err)
		return
	}
	switch err := s.service.Release(name); {
	case errors.Is(err, daemon.ErrNotSuspected):
		s.problem(w, http.StatusNotFound, err)
	case errors.Is(err, recover.ErrBusy):
		s.busy(w, err)
	case err != nil:
		s.problem(w, http.StatusInternalServerError, err)
	default:
		s.getQuarantine(w, r)
	}
}

func (s *Server) getRecoveries(w http.ResponseWriter, r *http.Request) {
	reports, err := s.recoveries(r.Context())
	if err != nil {
		s.problem(w, http.StatusInternalServerError, err)
		return
	}
	s.answer(w, Recoveries{orEmpty(reports)})
}

// getRecovery answers with one of the history: by its ID; "last", or 0 and less
// counted back from it.
func (s *Server) getRecovery(w http.ResponseWriter, r *http.Request) {
	reports, err := s.recoveries(r.Context())
	if err != nil {
		s.problem(w, http.StatusInternalServerError, err)
		return
	}
	report, err := recover.PickReport(reports, r.PathValue("id"))
	if err != nil {
		s.problem(w, http.StatusNotFound, err)
		return
	}
	s.answer(w, report)
}

func (s *Server) getPlan(w http.ResponseWriter, r *http.Request) {
	plan, err := s.plan(r.Context())
	if err != nil {
		s.busy(w, err)
		return
	}
	s.answer(w, plan)
}

func (s *Server) postSnapshot(w http.ResponseWriter, r *http.Request) {
	snapshot, err := s.service.TakeSnapshot(r.Context())
	switch {
	case errors.Is(err, daemon.ErrFrozen), errors.Is(err, recover.ErrGoingDown):
		s.problem(w, http.StatusConflict, err)
	case err != nil:
		s.problem(w, http.StatusInternalServerError, err)
	default:
		s.answer(w, whole(snapshot))
	}
}

func (s *Server) answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		s.log.Debug("an answer was not taken", "error", err)
	}
}

func (s *Server) problem(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	p := Problem{Title: http.StatusText(status), Status: status, Detail: err.Error()}
	if err := json.NewEncoder(w).Encode(p); err != nil {
		s.log.Debug("an answer was not taken", "error", err)
	}
}
