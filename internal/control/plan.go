package control

import (
	"context"
	"net/http"
	"time"

	"archy-recovery/internal/recover"
)

// plans makes the plans that clients ask for: one at a time, since each asks
// systemd for every unit of a container; and while recovery goes on, which asks
// systemd too, at most one in planEvery.
type plans struct {
	one  chan struct{} // held by who makes one
	last recover.Preview
	made time.Time
}

const planEvery = time.Second

func newPlans() plans { return plans{one: make(chan struct{}, 1)} }

func (s *Server) getPlan(w http.ResponseWriter, r *http.Request) {
	plan, err := s.plan(r.Context())
	if err != nil {
		s.busy(w, err)
		return
	}
	s.answer(w, plan)
}

func (s *Server) plan(ctx context.Context) (recover.Preview, error) {
	select {
	case s.plans.one <- struct{}{}:
		defer func() { <-s.plans.one }()
	case <-ctx.Done():
		return recover.Preview{}, ctx.Err()
	}
	if s.service.Phase() != recover.Ready && time.Since(s.plans.made) < planEvery {
		return s.plans.last, nil
	}
	plan := s.service.Preview(ctx)
	if ctx.Err() != nil { // it went amiss for a client that has gone
		return recover.Preview{}, ctx.Err()
	}
	s.plans.last, s.plans.made = plan, time.Now()
	return plan, nil
}
