package control

import (
	"cmp"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"archy-recovery/internal/recover"
)

// counts is what the server counts of itself.
type counts struct {
	connections func() int // nil before Serve
	refusals    atomic.Int64
}

// getMetrics answers a scrape. docs/metrics.md lists the names.
func (s *Server) getMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if _, err := io.WriteString(w, s.metrics(time.Now())); err != nil {
		s.log.Debug("an answer was not taken", "error", err)
	}
}

func (s *Server) metrics(now time.Time) string {
	st, changed := s.service.Status()
	e := &exposition{common: []string{"uid", strconv.Itoa(s.uid)}}
	e.gauge("build_info", "The program that answers.", one(1, "version", s.version, "goversion", runtime.Version()))
	e.gauge("boot_info", "The boot that the daemon runs in.", one(1, "boot_id", st.Identity.BootID))
	e.gauge("uptime_seconds", "How long the daemon has been running.", one(st.Uptime.Seconds()))
	recoveryMetrics(e, st, now)
	containerMetrics(e, st.Recovery.Rows)
	s.listMetrics(e, st)
	s.historyMetrics(e, changed)
	s.ownMetrics(e)
	return e.text.String()
}

// recoveryMetrics tell how the recovery of this run stands.
func recoveryMetrics(e *exposition, st recover.Status, now time.Time) {
	r := st.Recovery
	e.gauge("complete", "Whether recovery is complete (1) or goes on (0).", one(oneIf(st.RecoveryComplete)))
	var phases []sample
	for _, p := range []recover.Phase{recover.Assessing, recover.Recovering, recover.Ready, recover.Stopping} {
		phases = append(phases, sample{oneIf(p == st.State), []string{"phase", string(p)}})
	}
	e.gauge("phase", "The phase that the daemon is in has the value 1.", phases)
	e.gauge("mode_info", "What the kernel command line asks for: normal, off or safe.",
		one(1, "mode", cmp.Or(string(r.Mode), "normal")))
	if r.Verdict.Ending != "" {
		e.gauge("last_run_info", "How the last run ended, and why.", one(1, verdictLabels(r.Verdict)...))
		e.gauge("last_run_unclean", "Whether the last run ended badly.", one(oneIf(r.Verdict.Unclean())))
	}
	took := now.Sub(r.Started)
	switch {
	case r.Started.IsZero():
		took = 0
	case !r.Finished.IsZero():
		took = r.Finished.Sub(r.Started)
		e.gauge("finished_timestamp_seconds", "When recovery was complete.", one(unixSeconds(r.Finished)))
	}
	e.gauge("duration_seconds", "How long recovery took, or has been going on.", one(took.Seconds()))
	e.gauge("notes", "What went wrong beside the containers; status has the text.", one(float64(len(r.Notes))))
}

// containerMetrics tell of the containers of this recovery.
func containerMetrics(e *exposition, rows []recover.Row) {
	states := recover.Report{Rows: rows}.Counts()
	var byState, failed []sample
	for _, state := range recover.RowStates() {
		byState = append(byState, sample{float64(states[state]), []string{"state", string(state)}})
	}
	attempts, failures := 0, 0
	for _, row := range rows {
		attempts += len(row.Attempts)
		for _, a := range row.Attempts {
			if !a.Ended.IsZero() && a.Error != "" {
				failures++
			}
		}
		if row.State == recover.RowFailed {
			failed = append(failed, sample{1, []string{"container", row.Name, "tier", strconv.Itoa(row.Tier)}})
		}
	}
	e.gauge("containers", "The containers of this recovery, by how they fared in it.", byState)
	e.gauge("container_failed", "Each container that recovery could not bring up.", failed)
	e.counter("start_attempts_total", "Starts that were attempted.", one(float64(attempts)))
	e.counter("start_failures_total", "Starts that failed.", one(float64(failures)))
}

// listMetrics tell of what is kept: the running set, and who is left alone.
func (s *Server) listMetrics(e *exposition, st recover.Status) {
	e.gauge("snapshot_containers", "The containers that should be running.", one(float64(len(st.Set.Containers))))
	if st.Set.Timestamp > 0 {
		e.gauge("snapshot_timestamp_seconds", "When the running set was last written, which is when it last changed.",
			one(float64(st.Set.Timestamp)))
	}
	stopped, err := s.service.UserStopped()
	e.gauge("user_stopped_containers", "Names that are never started automatically.", one(float64(len(stopped))))
	e.gauge("user_stopped_lost", "Whether the user-stopped list cannot be read: then nothing is started.", one(oneIf(err != nil)))
	quarantined := 0
	for _, suspect := range st.Quarantine {
		if suspect.Quarantined {
			quarantined++
		}
	}
	e.gauge("suspects", "Containers that were in flight when the host crashed, the quarantined ones among them.",
		one(float64(len(st.Quarantine))))
	e.gauge("quarantined_containers", "Containers that are not started since they took the host down.", one(float64(quarantined)))
}

// historyMetrics count the recoveries that are remembered. Old ones are
// forgotten, so this is no counter.
func (s *Server) historyMetrics(e *exposition, changed <-chan struct{}) {
	reports, err := s.history.read(s.service.Reports, changed)
	if err != nil {
		return // a scrape tells what there is; /v1/recoveries tells the error
	}
	type verdict struct {
		ending recover.Ending
		cause  recover.Cause
	}
	n := map[verdict]int{}
	for _, r := range reports {
		n[verdict{r.Verdict.Ending, r.Verdict.Cause}]++
	}
	var samples []sample
	for v, count := range n {
		samples = append(samples, sample{float64(count), verdictLabels(recover.Verdict{Ending: v.ending, Cause: v.cause})})
	}
	slices.SortFunc(samples, func(a, b sample) int { return slices.Compare(a.labels, b.labels) })
	e.gauge("history_recoveries", "Recoveries that are remembered, by what they were for.", samples)
}

// ownMetrics tell of the API itself.
func (s *Server) ownMetrics(e *exposition) {
	connections := 0
	if s.counts.connections != nil {
		connections = s.counts.connections()
	}
	e.gauge("api_connections", "Open connections to the control socket.", one(float64(connections)))
	e.gauge("api_event_streams", "Clients that follow the events.", one(float64(len(s.streams))))
	e.counter("api_refusals_total", "Requests to change something by someone who may not.", one(float64(s.counts.refusals.Load())))
}

func verdictLabels(v recover.Verdict) []string {
	return []string{"verdict", string(v.Ending), "cause", string(v.Cause)}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// A history is the recoveries as last read, so that a scrape does not read a
// hundred files each time.
type history struct {
	mu      sync.Mutex
	reports []recover.Report
	changed <-chan struct{} // closes when they may be others
}

// read reads them anew if the service has changed since. changed has to be from
// before the call.
func (h *history) read(reports func() ([]recover.Report, error), changed <-chan struct{}) ([]recover.Report, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changed == changed {
		return h.reports, nil
	}
	now, err := reports()
	if err != nil {
		return nil, err
	}
	h.reports, h.changed = now, changed
	return now, nil
}
