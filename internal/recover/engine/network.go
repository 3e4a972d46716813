package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"archy-recovery/internal/recover"
)

// NotOnline is the error of a start that was not made: the row needs the network, which
// is not there.
type NotOnline struct {
	// Why says what the row needs the network for.
	Why string
}

func (e *NotOnline) Error() string { return "waits for the network: " + e.Why }

// withoutNetwork is put before the reason of a failure that the network's absence may
// explain.
const withoutNetwork = "waits for the network, after a start without it: "

// offlineRows are the rows that wait for the network. All of them share one wait, which
// begins with the run: while it lasts they delay READY, and no tier.
type offlineRows struct {
	rows map[int]bool
	late *time.Timer
	over bool // NetworkWait has passed
}

// await has a row wait until the network is there.
func (o *offlineRows) await(ctx context.Context, r *Run, i int, why string) {
	o.rows[i] = true
	if r.rows[i].State != recover.RowWaiting { // for a row that waits
		r.set(i, recover.RowWaiting, Waiting, why)
	}
	r.later(ctx, i, func() {
		if r.starter.AwaitNetwork(ctx) != nil { // not known: the next try will tell
			Sleep(ctx, r.policy.RetryPause)
		}
	})
	if o.over {
		o.letGo(ctx, r, i)
	}
}

// pass ends the time in which READY waits for the network.
func (o *offlineRows) pass(ctx context.Context, r *Run) {
	o.over = true
	for _, i := range slices.Sorted(maps.Keys(o.rows)) {
		if r.rows[i].State == recover.RowWaiting {
			o.letGo(ctx, r, i)
		}
	}
}

// letGo has READY not wait for a row any longer, nor for the rows that wait for it.
// They wait for the network, too.
func (o *offlineRows) letGo(ctx context.Context, r *Run, i int) {
	r.set(i, recover.RowNoNetwork, NoNetwork, r.rows[i].Error)
	for waiting, on := range r.needs {
		if slices.Contains(on, i) {
			delete(r.needs, waiting)
			o.await(ctx, r, waiting, r.rows[waiting].Error)
		}
	}
}

// renew gives the rows whose wait ends after READY as much time as the run had.
func (o *offlineRows) renew(r *Run) {
	r.expired = false
	r.ends = time.Now().Add(r.policy.Deadline)
	r.deadline.Reset(r.policy.Deadline)
}
