package recovertest

import (
	"context"
	"errors"
	"slices"
	"time"

	"archy-recovery/internal/recover"
)

// Here is the run under test.
var Here = recover.Identity{BootID: "b2", PID: 50, StartTime: 900}

// Crashed is the marker of a run in an earlier boot.
var Crashed = &recover.Marker{Identity: recover.Identity{BootID: "b1", PID: 40, StartTime: 800}}

// Outcomes of a start.
var (
	Up = recover.Outcome{Job: "done", Result: "success",
		UnitState: recover.UnitState{Loaded: true, Active: "active", Sub: "running"}}
	// Begun is that of a unit that only starts its container.
	Begun = recover.Outcome{Job: "done", Result: "success",
		UnitState: recover.UnitState{Loaded: true, Active: "inactive", Sub: "dead"}}
	Failed = recover.Outcome{Job: "failed", Result: "exit-code", ExitStatus: 1,
		UnitState: recover.UnitState{Loaded: true, Active: "failed", Sub: "failed"}}
)

// A Behavior is what an attempt to start a unit does; the first one is attempt 1.
type Behavior func(ctx context.Context, attempt int) (recover.Outcome, error)

// UpAfter is up after d.
func UpAfter(d time.Duration) Behavior {
	return func(ctx context.Context, _ int) (recover.Outcome, error) {
		select {
		case <-time.After(d):
			return Up, nil
		case <-ctx.Done():
			return recover.Outcome{}, ctx.Err()
		}
	}
}

// Hangs never ends by itself.
func Hangs(ctx context.Context, _ int) (recover.Outcome, error) {
	<-ctx.Done()
	return recover.Outcome{}, ctx.Err()
}

// Fails fails each time.
func Fails(context.Context, int) (recover.Outcome, error) { return Failed, nil }

// WorksAt works from the n-th attempt on.
func WorksAt(n int) Behavior {
	return func(_ context.Context, attempt int) (recover.Outcome, error) {
		if attempt < n {
			return Failed, nil
		}
		return Up, nil
	}
}

// Names are the sorted names of containers.
func Names(cs []recover.Container) []string {
	var ns []string
	for _, c := range cs {
		ns = append(ns, c.Name)
	}
	slices.Sort(ns)
	return ns
}

// ErrBroken is the error of a part that is broken.
var ErrBroken = errors.New("broken")
