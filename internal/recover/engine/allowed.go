package engine

import (
	"slices"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// seeAllowed takes up what a look shows of a row that needs a container which the user has
// stopped. It is tried once nothing that it needs is stopped any more. That is no retry, but the
// start that recovery put off. So it does not depend on Policy.RetryAfterReady, and a hold keeps
// it.
func (r *Run) seeAllowed(i int, s Sight) {
	row := r.rows[i]
	allowed := !slices.ContainsFunc(row.Stopped, func(name string) bool { return !s.Allowed(name) })
	switch {
	case !r.ready || lastChange(row).After(s.Began):
	case s.Runs(row):
		r.set(i, recover.RowActive, FoundUp, "")
	case !s.Member(row):
		r.set(i, recover.RowUserStopped, Skipped, notToRun)
	case allowed && !r.isAllowed(i):
		r.rows[i].Error = strings.Join(row.Stopped, ", ") + ", which it needs, may start again"
		r.planNow(i)
	case !allowed && r.isAllowed(i): // in a hold
		delete(r.retries.due, i)
		r.rows[i].Retry, r.rows[i].Error = nil, (&recover.NeedsStopped{Names: row.Stopped}).Error()
		r.tell(RetryEnded, i)
	}
}

// isAllowed reports whether a row that needs a stopped container is about to be tried, since the
// user has allowed that one.
func (r *Run) isAllowed(i int) bool {
	_, planned := r.retries.due[i]
	return planned && r.rows[i].State == recover.RowNeedsStopped
}

// planNow plans a try of a row that is down, now.
func (r *Run) planNow(i int) {
	row := &r.rows[i]
	row.Retry = &recover.Retry{Tries: triesOf(*row), Next: time.Now()}
	r.retries.due[i] = row.Retry.Next
	r.tell(RetryPlanned, i)
}
