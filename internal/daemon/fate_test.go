package daemon

import (
	"context"
	"sync"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"

	"pgregory.net/rapid"
)

// A fate is what becomes of a container after each of its starts.
type fate struct {
	lives []laterLife

	mu sync.Mutex
	// told is the last life that was told, and at when.
	told recover.Life
	at   time.Time
}

type laterLife struct {
	after time.Duration // the one before
	life  recover.Life
}

// drawFate draws falls, restarts and stops, in any order that systemd can show.
func drawFate(rt *rapid.T) *fate {
	f, restarts := &fate{}, 0
	for range rapid.IntRange(0, 4).Draw(rt, "lives") {
		l := laterLife{after: rapid.SampledFrom([]time.Duration{
			time.Millisecond, 300 * time.Millisecond, 2 * time.Second, 15 * time.Second, time.Hour,
		}).Draw(rt, "after")}
		l.life.ExitCode = rapid.SampledFrom([]int{0, 1, 137, recover.UnknownExit}).Draw(rt, "code")
		switch rapid.IntRange(0, 4).Draw(rt, "life") {
		case 0:
			l.life.State = recover.LifeEnded
		case 1:
			l.life.State = recover.LifeStopped
			l.life.Because = rapid.SampledFrom([]string{"", "pod.service was stopped"}).Draw(rt, "because")
		case 2:
			l.life.State = recover.LifeUnknown
		case 3:
			l.life.State = recover.LifeRestarting
		default:
			restarts++
			l.life = recover.Life{State: recover.LifeRuns}
		}
		l.life.Restarts = restarts
		f.lives = append(f.lives, l)
		if l.life.State == recover.LifeEnded || l.life.State == recover.LifeStopped {
			break
		}
	}
	return f
}

// play tells the lives to the follower of the container.
func (f *fate) play(ctx context.Context, to chan<- recover.Life) {
	f.mu.Lock()
	f.told = recover.Life{}
	f.mu.Unlock()
	for _, l := range f.lives {
		engine.Sleep(ctx, l.after)
		select {
		case to <- l.life:
			f.mu.Lock()
			f.told, f.at = l.life, time.Now()
			f.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// check compares a row in the end with what became of its container. What was told at the very moment of the
// cut may or may not have been heard.
func (f *fate) check(rt *rapid.T, row recover.Row, soak time.Duration, cut time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch row.State {
	case recover.RowUp, recover.RowFell, recover.RowDone, recover.RowRestarting:
	default:
		return // it was not started, or the last attempt failed
	}
	last := row.LastAttempt()
	if f.told.State == "" || f.at.Equal(cut) || f.at.Before(last.Ended) ||
		!row.Job && f.at.Add(time.Second).After(last.Ended.Add(soak)) {
		return // of an earlier attempt, or just when its soak ended
	}
	want := row.State
	switch {
	case f.told.State == recover.LifeStopped:
		want = recover.RowUserStopped
		if f.told.Because != "" {
			want = recover.RowSkipped
		}
	case f.told.State == recover.LifeEnded && row.Job && f.told.ExitCode == 0:
		want = recover.RowDone
	case f.told.State == recover.LifeEnded:
		want = recover.RowFell
	}
	if row.State != want {
		rt.Errorf("%s (job: %v) is %s, and was told %+v; want %s", row.Name, row.Job, row.State, f.told, want)
	}
}
