package recovertest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// Systemd answers as the service manager does.
type Systemd struct{ H *Host }

func (f Systemd) States(_ context.Context, units []string) (map[string]recover.UnitState, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	return maps.Clone(f.H.States), f.H.BusErr
}

func (f Systemd) ContainerUnits(_ context.Context, named []string) ([]recover.ContainerUnit, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	if named == nil {
		f.H.Listings++
		return slices.Collect(maps.Values(f.H.Units)), f.H.BusErr
	}
	var found []recover.ContainerUnit
	for _, unit := range named {
		if u, ok := f.H.Units[unit]; ok {
			found = append(found, u)
		}
	}
	return found, f.H.BusErr
}

func (f Systemd) Install(_ context.Context, units map[string]string) error {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	f.H.Say("install %s", strings.Join(slices.Sorted(maps.Keys(units)), " "))
	for unit := range units {
		f.H.States[unit] = recover.UnitState{Loaded: true, Active: "inactive"}
	}
	return nil
}

// KeepLoaded implements recover.Systemd. The fake forgets no unit.
func (f Systemd) KeepLoaded(context.Context, []string) (release func()) { return func() {} }

func (f Systemd) RemoveGenerated(containers []string) error {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	f.H.KeptGenerated = append(f.H.KeptGenerated, slices.Sorted(slices.Values(containers)))
	return f.H.BusErr
}

func (f Systemd) Start(ctx context.Context, unit string, without ...string) (recover.Outcome, error) {
	return f.start(ctx, unit, "start "+strings.Join(append([]string{unit}, without...), " without "))
}

func (f Systemd) start(ctx context.Context, unit, said string) (recover.Outcome, error) {
	f.H.Mu.Lock()
	f.H.Tries[unit]++
	attempt, behave := f.H.Tries[unit], f.H.Start[unit]
	f.H.Say("%s", said)
	f.H.Mu.Unlock()
	o, err := Up, error(nil)
	if behave != nil {
		o, err = behave(ctx, attempt)
	}
	starts := strings.HasPrefix(unit, "container-") && o.Job == "done" && o.Result == "success" // podman start
	if (o.Active == "active" || starts) && !f.H.Idle {
		f.H.Mu.Lock()
		f.H.States[unit] = o.UnitState
		name := strings.TrimSuffix(strings.TrimPrefix(unit, "container-"), ".service")
		running := recover.Container{Name: name}
		if _, ok := f.H.Units[unit]; ok { // Quadlet labels its containers
			running.Unit = unit
		}
		f.H.Sightings[name] = recover.Sighting{Container: running, ID: f.H.Sightings[name].ID, State: "running"}
		f.H.Mu.Unlock()
	}
	return o, err
}

// StartJob is Start.
func (f Systemd) StartJob(ctx context.Context, unit string, without ...string) (recover.Outcome, error) {
	return f.Start(ctx, unit, without...)
}

// StartAgain is Start, but leaves somebody's stop alone.
func (f Systemd) StartAgain(ctx context.Context, unit string, without ...string) (recover.Outcome, error) {
	f.H.Mu.Lock()
	stops := f.H.States[unit].Job == "stop"
	f.H.Mu.Unlock()
	if stops {
		return recover.Outcome{}, recover.ErrConflict
	}
	return f.start(ctx, unit, "start again "+strings.Join(append([]string{unit}, without...), " without "))
}

// AwaitLife returns the next life of the unit that a test sends to Lives, if any. If the last
// life is not known, it is that the unit runs.
func (f Systemd) AwaitLife(ctx context.Context, unit string, last recover.Life) (recover.Life, error) {
	f.H.Mu.Lock()
	lives, restarts := f.H.Lives[unit], f.H.NRestarts[unit]
	f.H.Mu.Unlock()
	if last.State == recover.LifeUnknown {
		return recover.Life{State: recover.LifeRuns, Restarts: restarts}, nil
	}
	select {
	case life := <-lives:
		return life, nil
	case <-ctx.Done():
		return recover.Life{}, ctx.Err()
	}
}

// AwaitScopeEnd returns when a test closes the channel of the ID in ScopeEnds.
func (f Systemd) AwaitScopeEnd(ctx context.Context, id string) error {
	f.H.Mu.Lock()
	end := f.H.ScopeEnds[id]
	f.H.Mu.Unlock()
	select {
	case <-end:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f Systemd) ResetFailed(_ context.Context, unit string) error {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	f.H.Say("reset %s", unit)
	return f.H.BusErr
}

// Pulls answers from H.Pulls and H.Wants.
func (f Systemd) Pulls(_ context.Context, units []string, asIfDown bool) (map[string][]recover.Pull, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	all := map[string][]recover.Pull{}
	add := func(unit string, others []string, needed bool) {
		for _, other := range others {
			if asIfDown || f.H.States[other].Active != "active" {
				all[unit] = append(all[unit], recover.Pull{Unit: other, Starts: true, Needed: needed})
			}
		}
	}
	for _, unit := range units {
		add(unit, f.H.Pulls[unit], true)
		add(unit, f.H.Wants[unit], false)
	}
	return all, f.H.BusErr
}

// Order answers from H.After.
func (f Systemd) Order(_ context.Context, units []string) (map[string][]string, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	order := map[string][]string{}
	for _, unit := range units {
		for _, other := range f.H.After[unit] {
			if slices.Contains(units, other) {
				order[unit] = append(order[unit], other)
			}
		}
	}
	return order, f.H.BusErr
}

func (f Systemd) Definition(_ context.Context, unit string) (string, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	return f.H.Definition[unit], f.H.BusErr
}

func (f Systemd) NotMounted(context.Context) ([]string, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	return slices.Clone(f.H.NotMounted), f.H.BusErr
}

func (f Systemd) MountsNeeded(_ context.Context, unit string) (recover.MountsNeeded, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	return recover.MountsNeeded{Paths: f.H.Needed[unit], Volumes: f.H.Volumes[unit]}, f.H.BusErr
}

func (f Systemd) AwaitMounts(ctx context.Context, points []string) error {
	f.H.Mu.Lock()
	f.H.Say("await %s", strings.Join(points, " "))
	err := f.H.AwaitErr
	f.H.Mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-f.H.Mounted:
		f.H.Mu.Lock()
		defer f.H.Mu.Unlock()
		f.H.NotMounted = nil
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// AwaitMountAbove returns when Mounted is closed.
func (f Systemd) AwaitMountAbove(ctx context.Context, paths []string) error {
	return f.AwaitMounts(ctx, paths)
}

func (f Systemd) AwaitEnd(ctx context.Context, unit string, _ time.Duration) error {
	f.H.Mu.Lock()
	f.H.Say("await the end of %s", unit)
	ends := f.H.Ends[unit]
	f.H.Mu.Unlock()
	if sleep(ctx, ends); ctx.Err() != nil {
		return ctx.Err()
	}
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	f.H.States[unit] = recover.UnitState{Loaded: true, Active: cmp.Or(f.H.EndAs, "failed")}
	return nil
}

func (f Systemd) Watch(ctx context.Context) (recover.Watch, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	context.AfterFunc(ctx, func() {
		f.H.Mu.Lock()
		defer f.H.Mu.Unlock()
		f.H.WatchErr = recover.ErrNoBus
	})
	f.H.Changes = make(chan struct{}, 1)
	return Watch(f), f.H.BusErr
}

// Watch is the Systemd's watch.
type Watch struct{ H *Host }

func (f Watch) Changes() <-chan struct{} { return f.H.Changes }

func (f Watch) GoingDown(context.Context) (bool, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	return f.H.Down, f.H.WatchErr
}

func (f Watch) LeftTarget(context.Context) (bool, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	return f.H.LeftTarget, f.H.WatchErr
}
