package control

import (
	"context"
	"time"

	"archy-recovery/internal/recover"
)

// throttleInterval is the least time between two computations of a throttled
// value during recovery.
const throttleInterval = time.Second

// A throttle limits how often clients have an expensive value computed: a plan
// asks systemd for the unit of each container, the history is a hundred files.
// It computes for one client at a time. During recovery, which needs the same
// resources, it computes at most once in throttleInterval, and returns the last
// value in between.
type throttle[T any] struct {
	turn     chan struct{} // holds one element while get runs
	value    T
	computed time.Time // when value was computed
}

func newThrottle[T any]() throttle[T] { return throttle[T]{turn: make(chan struct{}, 1)} }

func (t *throttle[T]) get(ctx context.Context, phase recover.Phase, compute func() (T, error)) (T, error) {
	var none T
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return none, ctx.Err()
	}
	if phase != recover.Ready && time.Since(t.computed) < throttleInterval {
		return t.value, nil
	}
	value, err := compute()
	if err == nil {
		err = ctx.Err() // if the client has left, the value may be incomplete
	}
	if err != nil {
		return none, err
	}
	t.value, t.computed = value, time.Now()
	return value, nil
}
