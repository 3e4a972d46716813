package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// A fleet is containers in a history after READY, and what happens to them.
type fleet struct {
	t    *testing.T
	seed int

	drawing sync.Mutex
	random  *rand.Rand

	mu    sync.Mutex
	ships map[string]*ship
	held  time.Time // the end of the hold
	disk  []string
}

// A ship is a container, as the world has it.
type ship struct {
	mended  time.Time // from then on it can start
	runs    bool
	starts  int // under way
	falls   time.Duration
	code    int
	gone    string // why it is not to be started any more
	stopped bool   // the user has stopped what it needs
	told    bool   // the run was told that
	forced  bool   // by hand
	hurried bool   // what it needs has come up
	last    time.Time
	pursuit int     // how often it was tried after READY
	needed  []*ship // the ships that need it
}

// up has a ship run, which others may have waited for.
func (s *ship) up() {
	s.runs = true
	for _, other := range s.needed {
		other.hurried = true
	}
}

func (f *fleet) fail(format string, args ...any) {
	f.t.Errorf("history %d, %s: %s", f.seed, time.Since(epoch), fmt.Sprintf(format, args...))
}

var epoch time.Time

// draw is a random number below n.
func (f *fleet) draw(n int) int {
	f.drawing.Lock()
	defer f.drawing.Unlock()
	return f.random.IntN(n)
}

func (f *fleet) minutes(most int) time.Duration {
	return time.Duration(f.draw(most*60)) * time.Second
}

// Start is the start of a container. It refuses what the daemon's starter refuses.
func (f *fleet) Start(ctx context.Context, row recover.Row) (recover.Outcome, error) {
	f.mu.Lock()
	s := f.ships[row.Name]
	takes := time.Duration(f.draw(8000)) * time.Millisecond
	switch {
	case row.Retry != nil && s.runs:
		defer f.mu.Unlock()
		s.up() // only now the run knows it
		return recover.Outcome{}, recover.ErrRuns
	case s.gone == "masked":
		defer f.mu.Unlock()
		return recover.Outcome{}, recover.ErrMasked
	case s.stopped:
		defer f.mu.Unlock()
		return recover.Outcome{}, &recover.NeedsStopped{Names: []string{"x" + row.Name}}
	case s.gone != "" && !s.told:
		defer f.mu.Unlock()
		return recover.Outcome{}, &RetryOver{Why: s.gone, Stopped: s.gone == "stopped"}
	}
	switch {
	case s.gone != "":
		f.fail("%s is started, though it is %s", row.Name, s.gone)
	case s.starts > 0:
		f.fail("%s is started twice at a time", row.Name)
	case s.runs:
		f.fail("%s is started, though it runs", row.Name)
	case time.Now().Before(f.held) && !s.forced && row.Retry != nil:
		f.fail("%s is started in a hold", row.Name)
	case row.Job && !s.last.IsZero():
		f.fail("the job %s is started again", row.Name)
	case row.Retry != nil && !s.forced && !s.hurried && time.Since(s.last) < recover.RetryPause(s.pursuit, 0)-time.Second:
		f.fail("%s is started %s after its last start, and that was its number %d", row.Name, time.Since(s.last), s.pursuit)
	case !slices.Contains(f.disk, row.Name):
		f.fail("%s is started, and not in flight", row.Name)
	}
	if row.Retry != nil {
		s.pursuit++
	}
	s.starts, s.forced, s.hurried = s.starts+1, false, false
	f.mu.Unlock()
	Sleep(ctx, takes)
	f.mu.Lock()
	defer f.mu.Unlock()
	s.starts--
	s.last = time.Now()
	if ctx.Err() != nil {
		return recover.Outcome{}, ctx.Err()
	}
	if s.runs { // something else was faster
		s.up()
		return recovertest.Up, nil
	}
	if time.Now().Before(s.mended) {
		return recovertest.Failed, nil
	}
	s.up()
	return recovertest.Up, nil
}

func (f *fleet) AwaitMounts(context.Context, []string) error { return nil }
func (f *fleet) AwaitNetwork(context.Context) error          { return nil }
func (f *fleet) AwaitLacking(ctx context.Context, _ recover.Row, _ []string) error {
	<-ctx.Done()
	return ctx.Err()
}
func (f *fleet) AwaitHealthy(context.Context, recover.Row, func(recover.RowHealth)) {}
func (f *fleet) Explain(context.Context, recover.Row) recover.Explanation {
	return recover.Explanation{}
}

// Await tells of the fall that a container has before it is mended for good.
func (f *fleet) Await(ctx context.Context, row *recover.Row, _ recover.Life) (recover.Life, error) {
	f.mu.Lock()
	s := f.ships[row.Name]
	falls, code := s.falls, s.code
	s.falls = 0
	f.mu.Unlock()
	if falls == 0 {
		<-ctx.Done()
		return recover.Life{}, ctx.Err()
	}
	if Sleep(ctx, falls); ctx.Err() != nil {
		return recover.Life{}, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.runs, s.last = false, time.Now()
	return recover.Life{State: recover.LifeEnded, ExitCode: code}, nil
}

// A thousand histories after READY: containers are mended at some time, fall, are started by
// a monitor, stopped, removed, masked, reset, held and tried by hand. None is started while it
// should not be, and none is forgotten.
func TestRetryHistories(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 100
	}
	for seed := range n {
		synctest.Test(t, func(t *testing.T) { tellRetries(t, seed) })
		if t.Failed() {
			return
		}
	}
}

func tellRetries(t *testing.T, seed int) {
	epoch = time.Now()
	f := &fleet{t: t, seed: seed, random: rand.New(rand.NewPCG(uint64(seed), 1)), ships: map[string]*ship{}}
	var rows []recover.Row
	for i := range 1 + f.draw(6) {
		name := fmt.Sprintf("c%d", i)
		row := recover.Row{Name: name, Unit: name + ".service", Tier: f.draw(4), State: recover.RowQueued,
			Job: f.draw(8) == 0, Alone: f.draw(6) == 0}
		if row.Alone {
			row.Group = 1 + f.draw(2)
		}
		s := &ship{mended: time.Now().Add(f.minutes(120))}
		if i > 0 && f.draw(3) == 0 {
			needed := fmt.Sprintf("c%d", f.draw(i))
			row.Needs = []recover.Need{{Name: needed, Until: recover.UntilUp}}
			f.ships[needed].needed = append(f.ships[needed].needed, s)
		}
		if f.draw(3) == 0 {
			s.falls = time.Duration(1+f.draw(15)) * time.Second
			s.code = f.draw(4) // some end well
		}
		if s.stopped = f.draw(5) == 0; s.stopped {
			row.State, row.Stopped = recover.RowNeedsStopped, []string{"x" + name}
		}
		rows, f.ships[name] = append(rows, row), s
	}
	slices.SortStableFunc(rows, func(a, b recover.Row) int {
		if a.Alone != b.Alone {
			return map[bool]int{true: 1, false: -1}[a.Alone]
		}
		return a.Tier - b.Tier
	})
	flight := NewFlight(func(names []string) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.disk = names
		return nil
	}, func(string) {})
	last := map[string]recover.Row{}
	run := New(rows, recover.DefaultPolicy(), f, flight, recovertest.Gauge{H: recovertest.NewHost()}, func(e Event) {
		if e.Row.Name != "" {
			f.mu.Lock()
			last[e.Row.Name] = e.Row
			f.mu.Unlock()
		}
	})
	if err := run.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run.Serve(ctx) }()
	for range f.draw(12) {
		time.Sleep(f.minutes(12))
		f.happens(run, rows[f.draw(len(rows))].Name, last)
	}
	f.mu.Lock()
	for _, s := range f.ships {
		s.hurried, s.stopped = s.hurried || s.stopped, false
	}
	f.mu.Unlock()
	if err := run.Ask(t.Context(), func() { run.See(f.look("", "", "")) }); err != nil {
		f.fail("it cannot be asked: %v", err)
	}
	// All is mended then, and no hold lasts as long. A look after it finds what it has put off.
	time.Sleep(5 * time.Hour)
	if err := run.Ask(t.Context(), func() { run.See(f.look("", "", "")) }); err != nil {
		f.fail("it cannot be asked: %v", err)
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	f.mu.Lock()
	for _, row := range rows {
		s, now := f.ships[row.Name], last[row.Name]
		over := row.Job || s.gone != "" || now.Retry != nil && strings.Contains(now.Retry.Ended, "exit code 0")
		if !s.runs && !over {
			f.fail("%s is forgotten: %s, %+v, %q", row.Name, now.State, now.Retry, now.Error)
		}
		if s.runs && now.State != recover.RowUp && now.State != recover.RowActive {
			f.fail("%s runs, and is %s", row.Name, now.State)
		}
		if now.State.Pending() {
			f.fail("%s is %s in the end", row.Name, now.State)
		}
	}
	if len(f.disk) > 0 {
		f.fail("in flight for good: %q", f.disk)
	}
	f.mu.Unlock()
	stop()
	<-done
}

// look is a look at a container, at which its unit is in a state.
func (f *fleet) look(name, unit, gone string) Sight {
	return Sight{Began: time.Now(), Units: map[string]recover.UnitState{name + ".service": {Loaded: true, Active: unit}},
		Runs:   func(row recover.Row) bool { return row.Name == name && f.ships[name].runs },
		Member: func(row recover.Row) bool { return row.Name != name || gone != "stopped" },
		Allowed: func(needed string) bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return !f.ships[strings.TrimPrefix(needed, "x")].stopped
		}}
}

// happens has something happen to a container that is tried again.
func (f *fleet) happens(run *Run, name string, last map[string]recover.Row) {
	s := f.ships[name]
	what := f.draw(9)
	f.mu.Lock()
	row := last[name]
	down := !s.runs && s.gone == "" && (row.State == recover.RowFailed || row.State == recover.RowFell) && !row.Job &&
		row.Retry != nil && row.Retry.Ended == ""
	looked := f.draw(2) == 0 // else the next try finds it out
	hold := time.Time{}
	switch {
	case what == 7:
		if hold = time.Now().Add(f.minutes(60)); f.draw(3) == 0 {
			hold = time.Time{}
		}
		f.held = hold
	case what == 8:
		s.stopped = !s.stopped && row.State == recover.RowNeedsStopped
		s.hurried = s.hurried || !s.stopped && row.State == recover.RowNeedsStopped
	case !down:
		f.mu.Unlock()
		return
	case what == 0: // a monitor starts it
		s.up()
	case what == 1, what == 2:
		s.gone = "stopped"
	case what == 3:
		s.gone = "masked"
	case what == 4:
		s.gone = "reset"
	default: // by hand
		s.forced = true
	}
	f.mu.Unlock()
	see := func(unit string) { run.See(f.look(name, unit, s.gone)) }
	err := run.Ask(f.t.Context(), func() {
		switch {
		case what == 7:
			run.Hold(hold)
		case what == 8 && !looked:
		case what == 8:
			see("inactive")
		case what >= 5:
			if names, err := run.Again(name); err != nil || len(names) != 1 {
				f.fail("%s cannot be tried by hand: %v", name, err)
			}
		case looked && what == 4:
			see("failed")
			see("inactive")
		case looked:
			see("failed")
		}
	})
	if err != nil {
		f.fail("it cannot be asked: %v", err)
	}
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	row = last[name] // a look does not count while it has its turn: then the start finds it out
	s.told = s.gone != "" && (row.State == recover.RowUserStopped || row.Retry != nil && row.Retry.Ended != "")
}
