package survey

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// A slowPodman takes a second for each list. The nth list has one container, whose name is
// the number.
type slowPodman struct {
	recover.Podman
	takes       time.Duration
	asked       int
	outstanding int
	t           *testing.T
}

func (s *slowPodman) List(ctx context.Context) ([]recover.Sighting, error) {
	s.asked++
	if s.outstanding++; s.outstanding > 1 {
		s.t.Errorf("%d lists are outstanding", s.outstanding)
	}
	defer func() { s.outstanding-- }()
	n := s.asked
	select {
	case <-time.After(s.takes):
		return []recover.Sighting{{Container: recover.Container{Name: fmt.Sprint(n)}}}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A listResult is the result of a List.
type listResult struct {
	name string
	err  error
	took time.Duration
}

// ask calls List in a goroutine of its own.
func ask(ctx context.Context, p *Patient) <-chan listResult {
	c := make(chan listResult, 1)
	began := time.Now()
	go func() {
		list, err := p.List(ctx)
		r := listResult{err: err, took: time.Since(began)}
		if len(list) == 1 {
			r.name = list[0].Name
			list[0].Name = "changed" // its own copy
		}
		c <- r
	}()
	synctest.Wait()
	return c
}

// patiently tests a Patient that waits for a podman that takes so long for its list.
func patiently(t *testing.T, takes time.Duration, do func(p *Patient, s *slowPodman)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &slowPodman{takes: takes, t: t}
		p := NewPatient(s)
		do(p, s)
		p.Close()
	})
}

// Callers share a list, and none gets one from before its call.
func TestListShared(t *testing.T) {
	patiently(t, time.Second, func(p *Patient, s *slowPodman) {
		first := ask(context.Background(), p)
		time.Sleep(time.Second / 2)
		var later []<-chan listResult
		for range 5 {
			later = append(later, ask(context.Background(), p))
		}
		if r := <-first; r.name != "1" || r.err != nil || r.took != time.Second {
			t.Errorf("the first has %+v", r)
		}
		for _, c := range later {
			if r := <-c; r.name != "2" || r.err != nil || r.took != 1500*time.Millisecond {
				t.Errorf("a later one has %+v", r)
			}
		}
		if s.asked != 2 {
			t.Errorf("asked %d times", s.asked)
		}
		if r := <-ask(context.Background(), p); r.name != "3" {
			t.Errorf("the last has %+v", r)
		}
	})
}

// A caller that gives up does not end the list of the others.
func TestListLeft(t *testing.T) {
	patiently(t, time.Second, func(p *Patient, s *slowPodman) {
		impatient, giveUp := context.WithCancel(context.Background())
		first, second := ask(impatient, p), ask(context.Background(), p)
		giveUp()
		if r := <-first; !errors.Is(r.err, context.Canceled) {
			t.Errorf("the first has %+v", r)
		}
		if r := <-second; r.name != "2" || s.asked != 2 {
			t.Errorf("the second has %+v, after %d lists", r, s.asked)
		}
	})
}

// A late list costs its callers AnswerWithin, later callers nothing, and podman one
// question only. Once it has ended, podman is asked again.
func TestListLate(t *testing.T) {
	patiently(t, time.Minute, func(p *Patient, s *slowPodman) {
		r := <-ask(context.Background(), p)
		if !errors.Is(r.err, ErrListLate) || !NotInTime(r.err) || r.took != AnswerWithin {
			t.Errorf("the first has %+v", r)
		}
		if r := <-ask(context.Background(), p); !errors.Is(r.err, ErrListLate) || r.took != 0 || s.asked != 1 {
			t.Errorf("the second has %+v, after %d lists", r, s.asked)
		}
		time.Sleep(time.Minute)
		s.takes = 0
		if r := <-ask(context.Background(), p); r.err != nil || r.name != "2" {
			t.Errorf("the third has %+v", r)
		}
	})
}

// A Patient that is closed waits for its callers, and for podman to hear that none is left.
func TestPatientClosed(t *testing.T) {
	patiently(t, time.Hour, func(p *Patient, s *slowPodman) {
		first := ask(context.Background(), p)
		began := time.Now()
		p.Close()
		if took := time.Since(began); took != AnswerWithin || s.outstanding != 0 {
			t.Errorf("closed after %s, and %d lists are outstanding", took, s.outstanding)
		}
		if r := <-first; !errors.Is(r.err, ErrListLate) {
			t.Errorf("the first has %+v", r)
		}
		if r := <-ask(context.Background(), p); !errors.Is(r.err, context.Canceled) || s.asked != 1 {
			t.Errorf("one after the end has %+v, after %d lists", r, s.asked)
		}
	})
}

// Each question about a container that is stuck ends by itself, and says so.
func TestStuckQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost().Plain("stuck", "running").Plain("db", "running")
		h.Stuck = map[string]chan struct{}{"stuck": make(chan struct{})}
		p := NewPatient(recovertest.Podman{H: h})
		defer p.Close()
		for name, ask := range map[string]func() error{
			"Inspect":       func() error { _, err := p.Inspect(t.Context(), "stuck"); return err },
			"StoppedByUser": func() error { _, err := p.StoppedByUser(t.Context(), "stuck"); return err },
			"Binds":         func() error { _, err := p.Binds(t.Context(), "stuck"); return err },
			"GenerateUnit":  func() error { _, _, err := p.GenerateUnit(t.Context(), "stuck"); return err },
		} {
			began := time.Now()
			err := ask()
			if took := time.Since(began); took != AnswerWithin || !NotInTime(err) ||
				!strings.Contains(err.Error(), "podman did not answer for container stuck within 5s") {
				t.Errorf("%s: %v after %s", name, err, took)
			}
		}
		if s, err := p.Inspect(t.Context(), "db"); err != nil || !s.Running() {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// A booting podman answers for none until it is up, and then for each as fast as it can.
type bootingPodman struct {
	recovertest.Podman
	up    time.Time
	takes time.Duration
}

func (b bootingPodman) wait(ctx context.Context) error {
	select {
	case <-time.After(max(0, time.Until(b.up)) + b.takes):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b bootingPodman) List(ctx context.Context) ([]recover.Sighting, error) {
	if err := b.wait(ctx); err != nil {
		return nil, err
	}
	return b.Podman.List(ctx)
}

func (b bootingPodman) Inspect(ctx context.Context, name string) (recover.Sighting, error) {
	if err := b.wait(ctx); err != nil {
		return recover.Sighting{}, err
	}
	return b.Podman.Inspect(ctx, name)
}

// A podman that boots while it is asked is stuck with no container.
func TestPodmanBoots(t *testing.T) {
	for _, boots := range []time.Duration{time.Second, 4900 * time.Millisecond, 6 * time.Second,
		6900 * time.Millisecond, 20 * time.Second} {
		t.Run(boots.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := recovertest.NewHost()
				var want []recover.Container
				for i := range 64 {
					want = append(want, recover.Container{Name: fmt.Sprint("c", i)})
					h.Plain(want[i].Name, "running")
				}
				p := NewPatient(bootingPodman{recovertest.Podman{H: h}, time.Now().Add(boots), 300 * time.Millisecond})
				defer p.Close()
				view := Host{Podman: p, Systemd: recovertest.Systemd{H: h}}.Look(t.Context(), want)
				if view.PodmanErr != nil || len(view.Unanswered) > 0 || !view.Active("c63") {
					t.Errorf("%v; unanswered are %d", view.PodmanErr, len(view.Unanswered))
				}
			})
		})
	}
}
