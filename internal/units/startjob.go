package units

import (
	"context"

	"archy-recovery/internal/recover"
)

// StartJob starts a unit that runs to its end. It returns as soon as the main process of that runs, or its
// start job has ended, if that is earlier. Errors are those of Start.
//
// While the main process runs, the Outcome has the state activating (start) and no Job, since the job goes
// on. Else it is that of Start: of a job that has ended with 0 it is done, inactive and success.
func (m *Manager) StartJob(ctx context.Context, unit string, without ...string) (recover.Outcome, error) {
	return m.startJob(ctx, unit, func(ctx context.Context, unit string) (recover.Outcome, error) {
		return m.Start(ctx, unit, without...)
	})
}

// startJob is StartJob with another start.
func (m *Manager) startJob(
	ctx context.Context, unit string, start func(context.Context, string) (recover.Outcome, error),
) (recover.Outcome, error) {
	if err := checkUnit(unit); err != nil {
		return recover.Outcome{}, err
	}
	both, cancel := context.WithCancel(ctx) // its end does not end the job
	running := make(chan recover.UnitState, 1)
	watched := make(chan struct{})
	defer func() { cancel(); <-watched }()
	go func() {
		defer close(watched)
		var u listedUnit
		err := m.await(both, unit, func(d *feed) (bool, error) {
			var err error
			u, err = d.link.list(both, unit)
			return err == nil && d.link.mainRuns(both, u), err
		})
		if err == nil { // after an error Start tells the end of the job, or fails too
			running <- recover.UnitState{Loaded: u.Load == "loaded", Active: u.Active, Sub: u.Sub}
			cancel()
		}
	}()
	o, err := start(both, unit)
	select {
	case state := <-running:
		if err != nil && ctx.Err() == nil {
			return recover.Outcome{UnitState: state}, nil
		}
	default:
	}
	return o, err
}
