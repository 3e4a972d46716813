package recover

import (
	"fmt"
	"slices"
	"time"
)

// A Row is one container of a recovery.
type Row struct {
	Name  string `json:"name"`
	Image string `json:"image"`
	Unit  string `json:"unit,omitempty"`
	// Generated: the container has no unit of its own, podman generated one to
	// start it.
	Generated bool `json:"generated,omitempty"`
	Tier      int  `json:"tier"`
	// Alone: it is started after all others, by itself or with its Group, since it was
	// in flight when the host crashed, or needs one that was, or since the kernel
	// command line asks for it.
	Alone bool `json:"alone,omitempty"`
	// Group numbers the groups of those that are Alone, in the order of their starts. One
	// that is not Alone starts after those of its group, for the order of the tiers; with 0
	// it starts with the tiers.
	Group int `json:"group,omitempty"`
	// Strikes is how many crashes of the host it was in flight at.
	Strikes int      `json:"strikes,omitempty"`
	State   RowState `json:"state"`
	// Job: its unit runs to its end (Jobs= in archy-recovery.conf(5)).
	Job bool `json:"job,omitempty"`
	// Restarts is how often systemd or podman started it again since our start.
	Restarts int `json:"restarts,omitempty"`
	// Stopped names the containers that the user stopped and that its start would
	// start along. In the state RowNeedsStopped it is not started for their sake. Else
	// it only wants them, and starts without them.
	Stopped []string `json:"stopped,omitempty"`
	// Without is Along.Without: the units that its start leaves out.
	Without []string `json:"-"`
	// Careful: its group waits until the soak of those that start with the tiers is over.
	Careful bool `json:"-"`
	// Brings are the containers that its start brings along, as far as that was asked.
	Brings []string `json:"-"`
	// Ending: it has died, and its unit has yet to end.
	Ending bool `json:"-"`
	// Unasked: the last attempt failed since what starts it could not be found out.
	Unasked bool `json:"-"`
	// Absent: the last attempt failed since podman does not know it, and no unit runs it.
	Absent bool `json:"-"`
	// Queued is when its turn came, zero if it never did.
	Queued time.Time `json:"queued,omitzero"`
	// Attempts are the starts that were made, oldest first, without those that Dropped counts.
	Attempts []Attempt `json:"attempts"`
	// Dropped counts the attempts that Attempts has no more: of many it keeps the first ones
	// and the last ones.
	Dropped DroppedAttempts `json:"dropped,omitzero"`
	// Retry is how it is tried again after READY, nil before that and if it never was to be.
	Retry *Retry `json:"retry,omitempty"`
	// Waits is when it waited for a mount, another container or the network, oldest first.
	Waits []Wait `json:"waits,omitempty"`
	// Needs is what it waits for before its first start.
	Needs []Need `json:"needs,omitempty"`
	// AwaitHealth says what waits for its health check, and Health how that wait stands.
	AwaitHealth HealthWait `json:"-"`
	Health      RowHealth  `json:"health,omitempty"`
	// Error is why the last attempt failed, or why there was none.
	Error string `json:"error,omitempty"`
	// Now is what it does at this moment. Only a status has it: no report does, and
	// recovery does not look at it.
	Now NowState `json:"now,omitempty"`
}

// An Attempt is one start of a container.
type Attempt struct {
	Started time.Time `json:"started"`
	// Ended is when the container was up, or the attempt had failed; zero
	// while it goes on.
	Ended time.Time `json:"ended,omitzero"`
	// Result is the service's own Result after it, such as exit-code
	// (org.freedesktop.systemd1(5)).
	Result string `json:"result,omitempty"`
	Error  string `json:"error,omitempty"`
	// Fell is set if the container was up after this attempt and then ended within
	// its soak. Of a container that systemd or podman started again, At is its first
	// end until it ends for good, and the rest tells the last end.
	Fell *Fall `json:"fell,omitempty"`
	// Done is when the job ended with exit code 0.
	Done time.Time `json:"done,omitzero"`
	// EndedWell: it ended with exit code 0 before it was seen to run, and is no job.
	EndedWell bool `json:"endedWell,omitempty"`
	// Healthy is when its health check passed, if something waited for that.
	Healthy time.Time `json:"healthy,omitzero"`
	// Invocation is Outcome.Invocation, and Offline is Outcome.Offline.
	Invocation string `json:"-"`
	Offline    bool   `json:"-"`
	// Why is what podman said of the failure or fall, nil until it is known.
	Why *Explanation `json:"why,omitempty"`
}

// A row keeps at most maxAttempts attempts: the first ones, which recovery made, and the last
// ones. A container can be tried for months.
const maxAttempts, firstAttempts = 10, 2

// DroppedAttempts counts attempts that a row does not keep, and the falls after them.
type DroppedAttempts struct {
	Attempts int `json:"attempts"`
	Falls    int `json:"falls,omitempty"`
}

// A Fall is the end of a container that was up, within its soak.
type Fall struct {
	At time.Time `json:"at"`
	// ExitCode is UnknownExit if it is not known.
	ExitCode int `json:"exitCode"`
	// Result is the service's own Result, such as exit-code or oom-kill; empty for a
	// container without a unit.
	Result    string `json:"result,omitempty"`
	OOMKilled bool   `json:"oomKilled,omitempty"`
}

// Sentence says how long after its start the container fell, and how it ended. up is
// when it was up.
func (f Fall) Sentence(up time.Time) string {
	return fmt.Sprintf("it fell after %.2f s (%s)", max(0, f.At.Sub(up).Seconds()), f.End())
}

// End says how it ended, such as "exit code 1".
func (f Fall) End() string {
	switch {
	case f.OOMKilled, f.Result == "oom-kill":
		return "out of memory"
	case f.ExitCode == UnknownExit:
		return "exit code unknown"
	case f.Result == "signal", f.Result == "core-dump":
		return fmt.Sprintf("%s %d", f.Result, f.ExitCode)
	case f.Result == "", f.Result == "success", f.Result == "exit-code":
		return fmt.Sprintf("exit code %d", f.ExitCode)
	}
	return f.Result
}

// An Explanation says why an attempt failed, or why its container fell.
type Explanation struct {
	// Reason is the ID of the cause (docs/failures.md), empty if it is unknown.
	Reason string `json:"reason,omitempty"`
	// Cause is the cause in one sentence, and Advice what to do.
	Cause  string `json:"cause,omitempty"`
	Advice string `json:"advice,omitempty"`
	// Output is the last lines that were written for the attempt, without control
	// characters.
	Output []string `json:"output,omitempty"`
	// NeedsNetwork says that the cause is one that the absence of the network explains, and
	// that the network is not there.
	NeedsNetwork bool `json:"-"`
	// Arrives says that something tells when what the attempt lacked arrives: the source of a
	// bind mount, or an image.
	Arrives bool `json:"-"`
}

// A Wait is a time in which a container was not started for want of another, of a
// mount, or of the network.
type Wait struct {
	Began time.Time `json:"began"`
	// Ended is zero while it goes on.
	Ended time.Time `json:"ended,omitzero"`
}

// Known reports whether the explanation says anything.
func (e Explanation) Known() bool {
	return e.Reason != "" || e.Cause != "" || e.Advice != "" || len(e.Output) > 0
}

// Grouped reports whether it starts with its group, and not with the tiers.
func (r Row) Grouped() bool { return r.Alone || r.Group > 0 }

// LastAttempt is the last attempt, nil without one. The caller must not change it.
func (r Row) LastAttempt() *Attempt {
	if len(r.Attempts) == 0 {
		return nil
	}
	return &r.Attempts[len(r.Attempts)-1]
}

// Started is when the first attempt began, zero without one.
func (r Row) Started() time.Time {
	if len(r.Attempts) == 0 {
		return time.Time{}
	}
	return r.Attempts[0].Started
}

// Ended is when the last attempt ended, zero without one and while it goes on.
func (r Row) Ended() time.Time {
	if len(r.Attempts) == 0 {
		return time.Time{}
	}
	return r.Attempts[len(r.Attempts)-1].Ended
}

// Made is how many attempts were made.
func (r Row) Made() int { return len(r.Attempts) + r.Dropped.Attempts }

// AttemptAt is the index in Attempts of the n-th attempt that was made, counted from 1. It is
// -1 if that was dropped.
func (r Row) AttemptAt(n int) int {
	switch at := n - 1 - r.Dropped.Attempts; {
	case n <= firstAttempts || r.Dropped.Attempts == 0:
		return n - 1
	case at >= firstAttempts:
		return at
	}
	return -1
}

// Took is the time from the first attempt's start to the last one's end, zero
// while that is not over.
func (r Row) Took() time.Duration {
	if r.Ended().IsZero() {
		return 0
	}
	return r.Ended().Sub(r.Started())
}

// BeginAttempt begins an attempt now. It replaces the list of attempts: holders of
// the old list keep that as it was.
func (r *Row) BeginAttempt() {
	kept := slices.Clone(r.Attempts)
	if len(kept) >= maxAttempts {
		if r.Dropped.Attempts++; kept[firstAttempts].Fell != nil {
			r.Dropped.Falls++
		}
		kept = slices.Delete(kept, firstAttempts, firstAttempts+1)
	}
	r.Attempts = append(kept, Attempt{Started: time.Now()})
}

// EndAttempt ends the attempt that is under way, if there is one, with the Result of
// the service and why it failed. It replaces the list of attempts, too.
func (r *Row) EndAttempt(result, why string) {
	if last := r.LastAttempt(); last == nil || !last.Ended.IsZero() {
		return
	}
	r.ChangeAttempt(len(r.Attempts)-1, func(last *Attempt) {
		last.Ended, last.Result, last.Error = time.Now(), result, why
	})
}

// ChangeAttempt changes the attempt with index n. It replaces the list of attempts,
// too.
func (r *Row) ChangeAttempt(n int, change func(*Attempt)) {
	r.Attempts = slices.Clone(r.Attempts)
	change(&r.Attempts[n])
}
