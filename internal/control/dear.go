package control

import (
	"context"
	"time"

	"archy-recovery/internal/recover"
)

// A dear answer costs: a plan asks systemd for every unit of a container, the
// history is a hundred files. It is made for one client at a time, and while
// recovery goes on, which needs the same things, at most once in dearEvery.
type dear[T any] struct {
	one  chan struct{} // held by who makes one
	last T
	made time.Time
}

const dearEvery = time.Second

func newDear[T any]() dear[T] { return dear[T]{one: make(chan struct{}, 1)} }

func (d *dear[T]) get(ctx context.Context, phase recover.Phase, make func() (T, error)) (T, error) {
	var none T
	select {
	case d.one <- struct{}{}:
		defer func() { <-d.one }()
	case <-ctx.Done():
		return none, ctx.Err()
	}
	if phase != recover.Ready && time.Since(d.made) < dearEvery {
		return d.last, nil
	}
	value, err := make()
	if err == nil {
		err = ctx.Err() // it may have gone amiss for a client that has left
	}
	if err != nil {
		return none, err
	}
	d.last, d.made = value, time.Now()
	return value, nil
}

func (s *Server) plan(ctx context.Context) (recover.Preview, error) {
	return s.plans.get(ctx, s.service.Phase(), func() (recover.Preview, error) { return s.service.Preview(ctx), nil })
}

func (s *Server) recoveries(ctx context.Context) ([]recover.Report, error) {
	return s.reports.get(ctx, s.service.Phase(), s.service.Reports)
}
