package daemon

import (
	"context"
	"errors"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
)

// A selfRepairer repairs what a crash of the host damaged without being asked, as far as Repair=
// allows it: each container once, and nothing while retries are held.
type selfRepairer struct {
	service *Service
	// wake has room for one: something that is down was explained.
	wake chan struct{}
	// tried are the containers that it has looked at, and late is how often in a row an image did not
	// come. Only run uses them.
	tried map[string]bool
	late  int
}

func newSelfRepairer(s *Service) *selfRepairer {
	return &selfRepairer{service: s, wake: make(chan struct{}, 1), tried: map[string]bool{}}
}

// hear is told of each row that changed.
func (r *selfRepairer) hear(row recover.Row) {
	if !r.mayMend(row) {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default: // it looks at all of them
	}
}

// mayMend reports whether a row is down for a reason that a repair may end. What is damaged is
// looked for only then.
func (r *selfRepairer) mayMend(row recover.Row) bool {
	reason, said := why(row)
	return row.State == recover.RowDamaged ||
		said && (reason.Reason == "" || reason.Reason == "name-in-use-storage" || mayBeDamage[reason.Reason])
}

// askRepairAgain is how much later it asks again while somebody else's repair is under way.
const askRepairAgain = 30 * time.Second

// run repairs until ctx ends. It is to be called after READY. In a run without a crash of the host
// before it, it does nothing.
func (r *selfRepairer) run(ctx context.Context) {
	s := r.service
	status, _ := s.Status()
	crashed := status.Recovery.Verdict.Unclean() && !s.again
	if s.policy.Repair == recover.RepairNothing || s.policy.Mode != recover.ModeNormal || !crashed {
		return
	}
	s.checkup.wait(ctx)
	for ctx.Err() == nil {
		s.hold.wait(ctx)
		err := r.repair(ctx)
		for errors.Is(err, ErrRepairing) && ctx.Err() == nil {
			engine.Sleep(ctx, askRepairAgain)
			err = r.repair(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.world.Log.Warn("nothing is repaired by itself now. See it with archy-recovery repair",
				"MESSAGE_ID", recover.MsgImpaired, "reason", err)
		}
		var again <-chan time.Time
		if r.late > 0 {
			again = time.After(recover.RetryPause(r.late-1, 0))
		}
		select {
		case <-r.wake:
		case <-again:
		case <-ctx.Done():
		}
	}
}

// repair repairs what is down and was not tried yet. If the power fails on the way, the next boot
// goes on: a crash begins anew what is tried.
func (r *selfRepairer) repair(ctx context.Context) error {
	status, _ := r.service.Status()
	down := map[string]bool{}
	for _, row := range status.Recovery.Rows {
		if r.mayMend(row) && !r.tried[row.Name] {
			down[row.Name] = true
		}
	}
	if len(down) == 0 {
		r.late = 0
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, RepairWithin)
	defer cancel()
	mend := r.service.repairer.doer(ctx)
	again := map[string]bool{}
	_, err := r.service.repairer.ask(ctx, "", func(repair *recover.Repair) {
		if !down[repair.Container] || !r.service.policy.Repair.Allows(*repair) {
			return
		}
		if until, _ := r.service.hold.until(); until.After(time.Now()) || ctx.Err() != nil {
			again[repair.Container] = true
			return
		}
		mend(repair)
		if comes := repair.Comes() != "" || repair.After != ""; comes && repair.Error != "" {
			again[repair.Container] = true // after a power cut, the network may come later
		}
	})
	if err != nil {
		return err
	}
	r.late++
	for name := range down {
		r.tried[name] = !again[name]
	}
	if len(again) == 0 {
		r.late = 0
	}
	return nil
}
