package recover

import (
	"fmt"
	"time"
)

// A Retry is how a container that failed or fell is tried again after READY.
type Retry struct {
	// Tries is how many starts that has made.
	Tries int `json:"tries"`
	// Next is when the next one is due. It is zero while one is under way, while it waits
	// for what its Error says, and when there is none.
	Next time.Time `json:"next,omitzero"`
	// Ended is why it is not tried any more, empty while it is, and once it is up.
	Ended string `json:"ended,omitempty"`
	// ByHand: the operator asked for the try that is under way.
	ByHand bool `json:"-"`
	// SeenFailed: its unit was seen to be failed since its last try.
	SeenFailed bool `json:"-"`
}

// The pause between two tries after READY.
const (
	FirstRetryPause = 30 * time.Second
	LastRetryPause  = 30 * time.Minute
	// retryJitter is by which part a pause is lengthened at most. Hosts that wait for the
	// same server do not ask it all at once.
	retryJitter = 0.1
)

// RetryPause is the pause before the next try, when so many were made after READY. It
// doubles with each of them. chance is in [0, 1); it only lengthens the pause.
func RetryPause(tries int, chance float64) time.Duration {
	pause := FirstRetryPause
	for range min(tries, 16) {
		pause = min(2*pause, LastRetryPause)
	}
	return pause + time.Duration(retryJitter*chance*float64(pause))
}

// NotRetried says why a container that is not up is not tried again by itself after READY.
// It is empty if it is.
func (r Row) NotRetried() string {
	last := r.LastAttempt()
	switch {
	case !r.State.FailedOrFell():
		return "it is " + string(r.State)
	case r.Job:
		return "it is a job"
	case r.Absent:
		return "podman does not know it any more"
	case r.State == RowFell && last != nil && last.Fell != nil && last.Fell.ExitCode == 0 && !last.Fell.OOMKilled &&
		(last.Fell.Result == "" || last.Fell.Result == "success"):
		return "it ended with exit code 0"
	case r.State == RowFailed && last != nil && last.EndedWell:
		return "it ended with exit code 0"
	case r.Retry != nil && r.Retry.Ended != "":
		return r.Retry.Ended
	}
	return ""
}

// BeingRetried reports whether a container is being tried again after READY, or waits there
// for what it lacks.
func (r Row) BeingRetried() bool { return r.Retry != nil && r.State.Pending() }

// IsRetried reports whether a container is down after READY, and is started by itself later.
func (r Row) IsRetried() bool {
	down := r.State.FailedOrFell() || r.State.Pending()
	return r.Retry != nil && (!r.Retry.Next.IsZero() || r.BeingRetried()) && down || r.State == RowNoNetwork
}

// RetryLine says when a container is tried again, or why not. It is empty if nothing is to be
// said.
func (r Row) RetryLine(now time.Time) string {
	switch {
	case r.Retry == nil:
		return ""
	case r.Retry.Ended != "":
		return "not tried again: " + r.Retry.Ended
	case r.Retry.Next.IsZero():
		return ""
	}
	what := "tried again"
	if r.State == RowNeedsStopped { // that was put off
		what = "started"
	}
	if !r.Retry.Next.After(now) {
		return "to be " + what + " now"
	}
	return fmt.Sprintf("%s in %s", what, r.Retry.Next.Sub(now).Round(time.Second))
}

// A Hold is a time in which nothing is started by itself after READY: neither what failed nor
// what is in quarantine.
type Hold struct {
	// BootID is the boot that it holds in.
	BootID string `json:"bootId"`
	// Until is when it ends. It is zero if there is none.
	Until time.Time `json:"until,omitzero"`
}
