package control

import (
	"cmp"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"archy-recovery/internal/recover"
)

// counts is what the server counts of its own work.
type counts struct {
	connections func() int // open now; nil before Serve
	refusals    atomic.Int64
}

// getMetrics answers a scrape. docs/metrics.md lists the metrics; a test
// compares the list with this file.
func (s *Server) getMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	if _, err := io.WriteString(w, s.metrics(time.Now())); err != nil {
		s.log.Debug("a client did not read its answer", "error", err)
	}
}

func (s *Server) metrics(now time.Time) string {
	st, changed := s.service.Status()
	e := &exposition{common: []string{"uid", strconv.Itoa(s.uid)}}
	e.gauge("build_info", "The daemon's version.", single(1, "version", s.version, "goversion", runtime.Version()))
	e.gauge("boot_info", "The boot in which the daemon runs.", single(1, "boot_id", st.Identity.BootID))
	e.gauge("uptime_seconds", "How long the daemon has been running.", single(st.Uptime.Seconds()))
	recoveryMetrics(e, st, now)
	containerMetrics(e, st.Recovery.Rows)
	e.gauge("held", "1 while retries and paroles are held.", single(oneIf(!heldUntil(st, now).IsZero())))
	_, runs := rowsNow(st.Recovery.Rows, st.Now)
	nowMetrics(e, runs)
	stopped, err := s.service.UserStopped()
	stateMetrics(e, st, stopped, err != nil)
	// A scrape has no place for an error; /v1/recoveries answers with it.
	if reports, err := s.history.read(s.service.Reports, changed); err == nil {
		historyMetrics(e, reports)
	}
	s.counts.metrics(e, len(s.streams))
	return e.text.String()
}

// recoveryMetrics writes the metrics of this run's recovery.
func recoveryMetrics(e *exposition, st recover.Status, now time.Time) {
	r := st.Recovery
	e.gauge("complete", "1 if recovery is complete, 0 if it is under way.", single(oneIf(st.RecoveryComplete)))
	var phases []sample
	for _, p := range []recover.Phase{recover.Assessing, recover.Recovering, recover.Ready, recover.Stopping} {
		phases = append(phases, sample{oneIf(p == st.State), []string{"phase", string(p)}})
	}
	e.gauge("phase", "1 for the phase that the daemon is in.", phases)
	e.gauge("mode_info", "The mode on the kernel command line: normal, off or safe.",
		single(1, "mode", cmp.Or(string(r.Mode), "normal")))
	if r.Verdict.Ending != "" {
		e.gauge("last_run_info", "How the last run ended, and its cause.", single(1, verdictLabels(r.Verdict)...))
		e.gauge("last_run_unclean", "1 if the last run did not end cleanly.", single(oneIf(r.Verdict.Unclean())))
	}
	took := now.Sub(r.Started)
	switch {
	case r.Started.IsZero():
		took = 0
	case !r.Finished.IsZero():
		took = r.Finished.Sub(r.Started)
		e.gauge("finished_timestamp_seconds", "When recovery was complete.", single(unixSeconds(r.Finished)))
	}
	e.gauge("duration_seconds", "How long recovery took, or has been under way.", single(took.Seconds()))
	e.gauge("notes", "Faults of something other than a container; status has the text.", single(float64(len(r.Notes))))
}

// containerMetrics writes the metrics of the containers in this recovery.
func containerMetrics(e *exposition, rows []recover.Row) {
	states := recover.Report{Rows: rows}.Counts()
	var byState, failed, lost []sample
	for _, state := range recover.RowStates() {
		byState = append(byState, sample{float64(states[state]), []string{"state", string(state)}})
	}
	attempts, failures, falls, restarts, retries, waiting := 0, 0, 0, 0, 0, 0
	for _, row := range rows {
		attempts += row.Made()
		restarts += row.Restarts
		failures, falls = failures+row.Dropped.Attempts, falls+row.Dropped.Falls // those failed
		if row.Retry != nil {
			retries += row.Retry.Tries
		}
		if row.IsRetried() {
			waiting++
		}
		for _, a := range row.Attempts {
			if !a.Ended.IsZero() && a.Error != "" {
				failures++
			}
			if a.Fell != nil {
				falls++
			}
		}
		if row.State == recover.RowFailed {
			failed = append(failed, sample{1, []string{"container", row.Name, "tier", strconv.Itoa(row.Tier)}})
		}
	}
	for _, row := range (recover.Report{Rows: rows}).NotRecovered() {
		lost = append(lost, sample{1, []string{
			"container", row.Name, "tier", strconv.Itoa(row.Tier), "state", string(row.State)}})
	}
	e.gauge("containers", "The containers of this recovery, by state.", byState)
	e.gauge("container_failed", "1 for each container that recovery could not start.", failed)
	e.gauge("container_not_recovered", "1 for each container that should run and was not recovered.", lost)
	e.gauge("retries_pending", "The containers that are tried again after READY.", single(float64(waiting)))
	e.counter("retries_total", "Attempts to start a container after READY.", single(float64(retries)))
	e.counter("start_attempts_total", "Attempts to start a container.", single(float64(attempts)))
	e.counter("start_failures_total", "Attempts that failed.", single(float64(failures)))
	e.counter("container_falls_total", "Containers that were up and ended within their soak.", single(float64(falls)))
	e.counter("container_restarts_total", "Restarts by systemd or podman since the start by recovery.",
		single(float64(restarts)))
}

// nowMetrics writes what the containers of this recovery do at this moment.
func nowMetrics(e *exposition, n NowCounts) {
	e.gauge("containers_now", "The containers of this recovery, by what they do at this moment.", []sample{
		{float64(n.Running), []string{"now", string(recover.NowRunning)}},
		{float64(n.Restarting), []string{"now", string(recover.NowRestarting)}},
		{float64(n.Down), []string{"now", string(recover.NowDown)}},
		{float64(n.Unknown), []string{"now", string(recover.NowUnknown)}},
	})
}

// stateMetrics writes the metrics of the state files: the running set, the
// user-stopped list, which may be lost, and the suspects.
func stateMetrics(e *exposition, st recover.Status, stopped []string, lost bool) {
	e.gauge("snapshot_containers", "The containers that should be running.", single(float64(len(st.Set.Containers))))
	if st.Set.Timestamp > 0 {
		e.gauge("snapshot_timestamp_seconds", "When the snapshot was last written: it is written only if it changes.",
			single(float64(st.Set.Timestamp)))
	}
	e.gauge("user_stopped_containers", "Names that are never started automatically.", single(float64(len(stopped))))
	e.gauge("user_stopped_lost", "1 if the user-stopped list cannot be read. Nothing is started then.",
		single(oneIf(lost)))
	e.gauge("journal_volatile", "1 if the journal is in memory only: the cause of the next crash will not be known.",
		single(oneIf(st.JournalVolatile)))
	quarantined := 0
	for _, suspect := range st.Quarantine {
		if suspect.Quarantined {
			quarantined++
		}
	}
	e.gauge("suspects", "Containers that were in flight when the host crashed, including those in quarantine.",
		single(float64(len(st.Quarantine.Watched()))))
	e.gauge("quarantined_containers", "Containers in quarantine: they are not started.", single(float64(quarantined)))
}

// historyMetrics counts the recoveries in the history. That is a gauge: the
// history drops old recoveries.
func historyMetrics(e *exposition, reports []recover.Report) {
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
		labels := verdictLabels(recover.Verdict{Ending: v.ending, Cause: v.cause})
		samples = append(samples, sample{float64(count), labels})
	}
	slices.SortFunc(samples, func(a, b sample) int { return slices.Compare(a.labels, b.labels) })
	e.gauge("history_recoveries", "Recoveries in the history, by verdict and cause.", samples)
}

// metrics writes the metrics of the API itself.
func (c *counts) metrics(e *exposition, streams int) {
	connections := 0
	if c.connections != nil {
		connections = c.connections()
	}
	e.gauge("api_connections", "Open connections to the control socket.", single(float64(connections)))
	e.gauge("api_event_streams", "Open event streams.", single(float64(streams)))
	e.counter("api_refusals_total", "Refused requests for a change.",
		single(float64(c.refusals.Load())))
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
