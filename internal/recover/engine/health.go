package engine

import (
	"context"
	"time"

	"archy-recovery/internal/recover"
)

// healthWaits are the rows that are up and whose health check others wait for. A row waits
// at most until the tier's deadline, counted from its start: then the others go on, and it
// stays up.
type healthWaits struct {
	rows map[int]context.CancelFunc
	news chan healthNews
}

// A healthNews is what is told of the health of the container that a row's attempt started.
type healthNews struct {
	row, attempt int // attempt is how many the row had then
	health       recover.RowHealth
	over         bool // nothing more is to come
}

// healthAtLeast is the time for a check of a container whose start took until the tier's
// deadline.
const healthAtLeast = 2 * time.Second

// begin has others wait for the health of a row that is about to be up.
func (h *healthWaits) begin(ctx context.Context, r *Run, i int) {
	row := r.rows[i]
	if row.AwaitHealth == recover.HealthIgnored || row.Job || r.expired {
		return
	}
	limit := time.Until(row.LastAttempt().Started.Add(r.policy.TierDeadline))
	bounded, cancel := context.WithTimeout(ctx, max(limit, healthAtLeast))
	h.rows[i] = cancel
	r.workers.Go(func() {
		defer cancel()
		var last recover.RowHealth
		tell := func(health recover.RowHealth, over bool) {
			last = health
			send(ctx, h.news, healthNews{i, row.Made(), health, over})
		}
		r.starter.AwaitHealthy(bounded, row, func(health recover.RowHealth) {
			tell(health, health == recover.HealthPassed)
		})
		switch {
		case last == recover.HealthPassed:
		case bounded.Err() != nil:
			tell(recover.HealthLate, true)
		default: // it has no check, or has ended, or podman cannot be asked
			tell("", true)
		}
	})
}

// delay reports whether others wait for the health of a row.
func (h *healthWaits) delay(i int) bool { return h.rows[i] != nil }

// delayReady reports whether READY does for some row.
func (h *healthWaits) delayReady(r *Run) bool {
	for i := range h.rows {
		if r.rows[i].AwaitHealth == recover.HealthForReady {
			return true
		}
	}
	return false
}

// take records what is told of a container's health.
func (h *healthWaits) take(r *Run, n healthNews) {
	row := &r.rows[n.row]
	if !h.delay(n.row) || row.Made() != n.attempt {
		return // it has ended meanwhile, or recovery has
	}
	switch {
	case n.health == recover.HealthPassed:
		delete(h.rows, n.row) // its worker goes on: podman is to know it, too
	case n.over:
		h.drop(n.row)
	}
	kind := Unhealthy
	if n.health == recover.HealthPassed {
		kind = Healthy
		row.ChangeAttempt(len(row.Attempts)-1, func(a *recover.Attempt) { a.Healthy = time.Now() })
	}
	if row.Health = n.health; n.health != "" {
		r.notify(Event{Kind: kind, Tier: row.Tier, Index: n.row, Row: *row})
	}
	if n.over {
		delete(r.unsettled, n.row)
		r.order.release(r, n.row)
		r.release(n.row)
		r.retries.arrived(r, n.row)
	}
}

// drop ends a wait.
func (h *healthWaits) drop(i int) {
	if cancel := h.rows[i]; cancel != nil {
		cancel()
		delete(h.rows, i)
	}
}

// giveUp ends all waits at the deadline of recovery.
func (h *healthWaits) giveUp(r *Run) {
	for i := range r.rows {
		if h.delay(i) {
			h.take(r, healthNews{i, r.rows[i].Made(), recover.HealthLate, true})
		}
	}
}
