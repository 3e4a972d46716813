package engine

import (
	"context"
	"time"

	"archy-recovery/internal/recover"
)

// explainWithin bounds an explanation: whatever it waits for, the run ends.
const explainWithin = 30 * time.Second

// An attemptID names an attempt of a row.
type attemptID struct{ row, attempt int } // attempt counts from 1

// explained is why an attempt failed. Only the answer to the last question about an
// attempt counts.
type explained struct {
	attemptID
	question    int
	explanation recover.Explanation
}

// explain asks why a row's last attempt failed, or why its container fell. Nothing
// waits for the answer.
func (r *Run) explain(ctx context.Context, i int) {
	row := r.rows[i]
	id := attemptID{i, row.Made()}
	r.explaining++
	r.questions[id]++
	question := r.questions[id]
	r.workers.Go(func() {
		bounded, cancel := context.WithTimeout(ctx, explainWithin)
		defer cancel()
		send(ctx, r.explanations, explained{id, question, r.starter.Explain(bounded, row)})
	})
}

// takeExplanation puts an explanation to its attempt.
func (r *Run) takeExplanation(ctx context.Context, e explained) {
	r.explaining--
	if e.question != r.questions[e.attemptID] || !e.explanation.Known() {
		return
	}
	row := &r.rows[e.row]
	at := row.AttemptAt(e.attempt)
	if at < 0 {
		return
	}
	row.ChangeAttempt(at, func(a *recover.Attempt) { a.Why = &e.explanation })
	r.notify(Event{Kind: Explained, Tier: row.Tier, Index: e.row, Row: *row})
	if e.explanation.NeedsNetwork && row.State == recover.RowRetrying && e.attempt == row.Made() {
		r.tries[e.row]--
		r.offline.await(ctx, r, e.row, withoutNetwork+row.Error)
	}
}
