package recover

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// reportOf makes a report of words "name:state"; a name with a * is a job.
func reportOf(words string) (r Report) {
	for _, word := range strings.Fields(words) {
		name, state, _ := strings.Cut(word, ":")
		plain := strings.TrimSuffix(name, "*")
		r.Rows = append(r.Rows, Row{Name: plain, State: RowState(state), Job: plain != name})
	}
	return r
}

func TestSummary(t *testing.T) {
	for words, want := range map[string]string{
		"":                     "complete: nothing to start",
		"a:up b:active":        "complete: 2 containers run, 1 of them started",
		"a:up j*:done":         "complete: 1 containers run, 1 of them started; 1 job is done",
		"a:up j*:done k*:done": "complete: 1 containers run, 1 of them started; 2 jobs are done",
		"a:up b:failed":        "complete with 1 not recovered: 1 of 2 containers run; 1 failed",
		"a:held b:held":        "complete: 2 containers held back, 0 run",
		"a:up b:quarantined":   "complete with 1 not recovered: 1 of 2 containers run; 1 quarantined",
		"a:missing b:missing": "complete with 2 not recovered: 0 of 2 containers run; 2 missing: " +
			"is the disk that holds the containers mounted?",
		"a:up b:skipped":       "complete: 1 containers run, 1 of them started",
		"a:up b:deferred":      "complete: 1 containers run, 1 of them started",
		"a:up b:user-stopped":  "complete: 1 containers run, 1 of them started",
		"a:up b:needs-stopped": "complete: 1 containers run, 1 of them started; 1 needs a stopped one",
		"a:up b:needs-stopped c:needs-stopped d:failed": "complete with 1 not recovered: 1 of 2 containers run; 1 failed" +
			"; 2 need stopped ones",
		"a:up b:up c:fell":      "complete with 1 not recovered: 2 of 3 containers run; 1 fell",
		"j*:fell a:up":          "complete with 1 not recovered: 1 of 2 containers run; 1 fell",
		"a:held b:missing c:up": "complete with 2 not recovered: 1 of 3 containers run; 1 missing, 1 held",
		"a:up b:fell c:fell d:failed e:restarting f:quarantined g:missing h:user-stopped": "complete with 6 not recovered: " +
			"1 of 7 containers run; 1 failed, 2 fell, 1 restarting, 1 quarantined, 1 missing",
	} {
		r := reportOf(words)
		if got := r.Summary(); got != want {
			t.Errorf("%s:\n%s, want\n%s", words, got, want)
		}
		if complete := strings.HasPrefix(want, "complete: ") && !strings.Contains(want, "held"); r.Failed() == complete {
			t.Errorf("%s: Failed is %v", words, r.Failed())
		}
	}
}

func TestNotRecovered(t *testing.T) {
	for _, state := range RowStates() {
		want := false
		switch state {
		case RowFailed, RowFell, RowRestarting, RowNoNetwork, RowDamaged, RowQuarantined, RowMissing, RowHeld:
			want = true
		}
		r := Report{Rows: []Row{{Name: "a", State: state}, {Name: "b", State: RowUp}}}
		if rows := r.NotRecovered(); len(rows) > 0 != want || len(rows) > 1 || want && rows[0].Name != "a" {
			t.Errorf("%s: %+v", state, rows)
		}
	}
}

// At READY all that should run stays in the set, but no job that has ended.
func TestCarriedOver(t *testing.T) {
	for words, want := range map[string]string{
		"a:up b:fell c:restarting d:failed e:skipped":          "a b! c! d! e!",
		"a:user-stopped b:missing c:up":                        "b! c",
		"a:missing b:missing":                                  "a! b!",
		"a:missing b:user-stopped c:quarantined":               "a! c!",
		"a:missing b:needs-stopped j*:needs-stopped":           "a! b! j*!",
		"a:held j*:held":                                       "a! j*!",
		"j*:up k*:active l*:starting m*:waiting":               "j* k* l* m*!",
		"j*:done k*:fell l*:failed m*:skipped n*:user-stopped": "",
		"j*:quarantined k*:deferred l*:restarting m*:missing":  "j*! k*! l*! m*!",
		"j*:missing k*:missing":                                "j*! k*!",
	} {
		var got []string
		r := reportOf(words)
		for i := range r.Rows {
			if r.Rows[i].State == RowFailed {
				r.Rows[i].Attempts = []Attempt{{}}
			}
		}
		for _, c := range r.CarriedOver(nil) {
			name := c.Name
			if c.Job {
				name += "*"
			}
			if c.Unrecovered {
				name += "!"
			}
			got = append(got, name)
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %q, want %q", words, text, want)
		}
	}
}

// What was not even tried is owed, until it runs or leaves the set. A job that was not tried
// is not over.
func TestOwed(t *testing.T) {
	tried := []Attempt{{}}
	rows := []Row{{Name: "held", State: RowHeld}, {Name: "lost", State: RowFailed, Job: true},
		{Name: "unasked", State: RowFailed, Attempts: tried, Unasked: true},
		{Name: "failed", State: RowFailed, Attempts: tried}, {Name: "up", State: RowUp, Attempts: tried},
		{Name: "quarantined", State: RowQuarantined}, {Name: "missing", State: RowMissing}}
	for name, c := range map[string]struct {
		ending Ending
		runs   string
		rows   []Row
		there  bool
		want   string
	}{
		"after a crash":                 {HostCrashed, "", rows, true, "held lost unasked"},
		"some run by now":               {HostCrashed, "held", rows, true, "lost unasked"},
		"each boot starts what is held": {EndedCleanly, "", rows, true, "lost unasked"},
		"podman's storage is not there": {HostCrashed, "", rows[6:], false, "missing"},
		"it is there":                   {HostCrashed, "", rows[6:], true, ""},
	} {
		r := Report{Rows: c.rows, Verdict: Verdict{Ending: c.ending}, StorageThere: c.there}
		set := r.CarriedOver(nil)
		for i := range set {
			set[i].Unrecovered = set[i].Unrecovered && set[i].Name != c.runs
		}
		if got := strings.Join(r.Owed(set), " "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if got := r.Owed(nil); len(got) > 0 {
			t.Errorf("%s: %q have left the set", name, got)
		}
	}
}

func TestFallSentence(t *testing.T) {
	up := time.Unix(1000, 0)
	for want, fall := range map[string]Fall{
		"it fell after 0.02 s (exit code 1)":       {At: up.Add(20 * time.Millisecond), ExitCode: 1, Result: "exit-code"},
		"it fell after 3.00 s (exit code 0)":       {At: up.Add(3 * time.Second), Result: "success"},
		"it fell after 1.50 s (signal 9)":          {At: up.Add(1500 * time.Millisecond), ExitCode: 9, Result: "signal"},
		"it fell after 1.00 s (out of memory)":     {At: up.Add(time.Second), ExitCode: 137, OOMKilled: true},
		"it fell after 2.00 s (watchdog)":          {At: up.Add(2 * time.Second), Result: "watchdog"},
		"it fell after 0.00 s (exit code 2)":       {At: up.Add(-time.Second), ExitCode: 2}, // a clock was set back
		"it fell after 4.00 s (out of memory)":     {At: up.Add(4 * time.Second), Result: "oom-kill"},
		"it fell after 5.00 s (exit code 137)":     {At: up.Add(5 * time.Second), ExitCode: 137},
		"it fell after 7.00 s (exit code unknown)": {At: up.Add(7 * time.Second), ExitCode: UnknownExit},
		"it fell after 6.00 s (core-dump 11)":      {At: up.Add(6 * time.Second), ExitCode: 11, Result: "core-dump"},
	} {
		if got := fall.Sentence(up); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The plan takes it from the unit whether a container is a job.
func TestPlanOfJobs(t *testing.T) {
	set := []Container{{Name: "job", Unit: "job.service"}, {Name: "was", Unit: "was.service", Job: true},
		{Name: "lost", Job: true}, {Name: "plain", Job: true}, {Name: "runs", Job: true}}
	view := View{}
	view.TakeList(Sightings{{Container: Container{Name: "runs"}, State: StateRunning}}, nil)
	resolved := map[string]Resolution{"job": {Unit: "job.service", Job: true}, "was": {Unit: "was.service"},
		"lost": {Err: ErrNone}, "plain": {Unit: "container-plain.service", Generated: true, Job: true}}
	for jobs, want := range map[Jobs]map[string]RowState{
		JobsRestart: {"job": RowQueued, "was": RowQueued, "lost": RowQueued, "plain": RowQueued, "runs": RowActive},
		JobsLeave:   {"job": RowSkipped, "was": RowQueued, "lost": RowSkipped, "plain": RowQueued, "runs": RowActive},
	} {
		p := DefaultPolicy()
		p.Jobs = jobs
		got, isJob := map[string]RowState{}, map[string]bool{}
		for _, row := range MakePlan(set, Holds{}, view, resolved, p) {
			got[row.Name], isJob[row.Name] = row.State, row.Job
			if row.State == RowSkipped && !strings.Contains(row.Error, "Jobs=leave") {
				t.Errorf("%s is skipped: %q", row.Name, row.Error)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Jobs=%s (-want +got):\n%s", jobs, diff)
		}
		jobsWant := map[string]bool{"job": true, "was": false, "lost": true, "plain": false, "runs": true}
		if diff := cmp.Diff(jobsWant, isJob); diff != "" {
			t.Errorf("Jobs=%s, jobs (-want +got):\n%s", jobs, diff)
		}
	}
}

func TestNextSetOfJobs(t *testing.T) {
	last := []Container{{Name: "j", Unit: "j.service", Job: true}}
	unit := func(active, job string) map[string]UnitState {
		return map[string]UnitState{"j.service": {Loaded: true, Active: active, Job: job}}
	}
	seen := func(state ContainerState, code int, unit string) Sightings {
		return Sightings{{Container: Container{Name: "j", Unit: unit}, State: state, ExitCode: code}}
	}
	for name, c := range map[string]struct {
		sightings Sightings
		units     map[string]UnitState
		want      string // * is a job
	}{
		"runs":                         {seen(StateRunning, 0, "j.service"), unit("activating", ""), "j*"},
		"runs, podman's half only":     {seen(StateRunning, 0, ""), nil, "j*"},
		"runs by another unit":         {seen(StateRunning, 0, "k.service"), nil, "j"},
		"its container not yet":        {nil, unit("activating", ""), "j*"},
		"to be started":                {nil, unit("inactive", "start"), "j*"},
		"on its way down":              {nil, unit("deactivating", ""), "j*"},
		"ended":                        {nil, unit("inactive", ""), ""},
		"failed":                       {nil, unit("failed", ""), ""},
		"failed, container not gone":   {seen(StateExited, 1, "j.service"), unit("failed", ""), ""},
		"failed, systemd not known":    {seen(StateExited, 1, "j.service"), nil, ""},
		"being stopped, without state": {seen(StateStopping, 0, "j.service"), nil, "j*"},
	} {
		var got []string
		for _, c := range NextSet(last, c.sightings, c.units, nil) {
			if c.Job {
				c.Name += "*"
			}
			got = append(got, c.Name)
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}

func TestProgressLineOfFalls(t *testing.T) {
	r := Report{}
	for _, state := range []RowState{RowUp, RowDone, RowFell, RowRestarting, RowFailed} {
		r.Rows = append(r.Rows, Row{State: state, Attempts: []Attempt{{}}})
	}
	p := ProgressOf(r.Rows)
	if want := "tier 0: 2 of 5 started, 1 failing, 1 fell, 1 restarting"; p.Line() != want {
		t.Errorf("%q, want %q", p.Line(), want)
	}
}
