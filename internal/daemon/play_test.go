package daemon

import (
	"context"
	"fmt"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
	"archy-recovery/internal/recover/recovertest"
)

// play runs rows against h and returns the whole history, each event with the
// seconds since the start.
func play(t *testing.T, ctx context.Context, h *recovertest.Host, p recover.Policy,
	rs []recover.Row) (history []string, err error) {
	t.Helper()
	return playTo(ctx, h, p, rs, func(engine.Event) {})
}

// playTo does so, and tells also each of the events.
func playTo(ctx context.Context, h *recovertest.Host, p recover.Policy, rs []recover.Row,
	each func(engine.Event)) (history []string, err error) {
	began := time.Now()
	tell := func(e engine.Event) {
		each(e)
		line := fmt.Sprintf("%5.1f %s", time.Since(began).Seconds(), e.Kind)
		if e.Row.Name == "" {
			line += fmt.Sprintf(" %d", e.Tier)
		} else {
			line += fmt.Sprintf(" %s %d", e.Row.Name, len(e.Row.Attempts))
		}
		history = append(history, line)
	}
	err = engine.New(rs, p, starterOn(h, p), engine.NewFlight(func([]string) error { return nil }, func(string) {}),
		recovertest.Gauge{H: h}, tell).Do(ctx)
	return history, err
}
