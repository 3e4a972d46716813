package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// A moment is what becomes of a container some time after its start has ended.
type moment struct {
	after time.Duration
	life  recover.Life
	err   error // Await fails with it
}

// ended is the end of a container after some seconds.
func ended(after float64, code int) moment {
	return moment{after: seconds(after), life: recover.Life{State: recover.LifeEnded, ExitCode: code}}
}

func lives(after float64, state recover.LifeState, restarts int) moment {
	return moment{after: seconds(after), life: recover.Life{State: state, Restarts: restarts, ExitCode: 1}}
}

// along is a stop that another unit's stop brought along.
func along(after float64) moment {
	life := recover.Life{State: recover.LifeStopped, Because: "pod.service was stopped"}
	return moment{after: seconds(after), life: life}
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// jobRuns is the outcome of a job's start.
var jobRuns = recover.Outcome{Job: "", UnitState: recover.UnitState{Loaded: true, Active: "activating", Sub: "start"}}

// A lifeStarter starts units, and tells what becomes of their containers.
type lifeStarter struct {
	unitStarter
	lives   map[string]func(attempt int) []moment // by container
	explain func(ctx context.Context, row recover.Row) recover.Explanation

	mu      sync.Mutex
	started map[string]time.Time // by container and attempt
	awaited map[string]int       // calls of Await, by container
}

func newLifeStarter(h *recovertest.Host) *lifeStarter {
	return &lifeStarter{unitStarter: unitStarter{h}, lives: map[string]func(int) []moment{},
		started: map[string]time.Time{}, awaited: map[string]int{}}
}

// then says what becomes of a container after each of its attempts; after the last
// of them the same again.
func (s *lifeStarter) then(name string, attempts ...[]moment) {
	s.lives[name] = func(attempt int) []moment { return attempts[min(attempt, len(attempts))-1] }
}

func tryOf(row recover.Row) string { return fmt.Sprint(row.Name, " ", len(row.Attempts)) }

func (s *lifeStarter) Start(ctx context.Context, row recover.Row) (recover.Outcome, error) {
	o, err := s.unitStarter.Start(ctx, row)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started[tryOf(row)] = time.Now()
	return o, err
}

// Await is told by signals, and looks first: so does the real one.
func (s *lifeStarter) Await(ctx context.Context, row *recover.Row, last recover.Life) (recover.Life, error) {
	s.mu.Lock()
	began, told := s.started[tryOf(*row)], s.lives[row.Name]
	s.awaited[row.Name]++
	s.mu.Unlock()
	var moments []moment
	if told != nil {
		moments = told(len(row.Attempts))
	}
	now := moment{life: recover.Life{State: recover.LifeRuns}}
	for {
		next := time.Duration(-1)
		for _, m := range moments {
			if left := m.after - time.Since(began); left > 0 {
				next = left
				break
			}
			now = m
		}
		switch {
		case now.err != nil:
			return recover.Life{}, now.err
		case now.life != last:
			return now.life, nil
		case next < 0:
			<-ctx.Done()
			return recover.Life{}, ctx.Err()
		}
		if Sleep(ctx, next); ctx.Err() != nil {
			return recover.Life{}, ctx.Err()
		}
	}
}

func (s *lifeStarter) Explain(ctx context.Context, row recover.Row) recover.Explanation {
	if s.explain == nil {
		return recover.Explanation{}
	}
	return s.explain(ctx, row)
}

// playLives runs rows to READY and follows them then. The history has a line at READY
// and one at the end.
func playLives(ctx context.Context, s Starter, h *recovertest.Host, p recover.Policy, rs []recover.Row,
	each func(Event)) (history []string, rows map[string]recover.Row, err error) {
	began := time.Now()
	rows = map[string]recover.Row{}
	say := func(format string, args ...any) {
		history = append(history, fmt.Sprintf("%5.1f ", time.Since(began).Seconds())+fmt.Sprintf(format, args...))
	}
	run := New(rs, p, s, NewFlight(func([]string) error { return nil }, func(string) {}), recovertest.Gauge{H: h},
		func(e Event) {
			each(e)
			if e.Row.Name == "" {
				return
			}
			rows[e.Row.Name] = e.Row
			say("%s %s %d", e.Kind, e.Row.Name, len(e.Row.Attempts))
		})
	if err = run.Do(ctx); err != nil {
		return history, rows, err
	}
	say("READY")
	err = run.Follow(ctx)
	say("end")
	return history, rows, err
}
