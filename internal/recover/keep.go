package recover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrFrozen: the snapshot does not change before READY, nor after the stop
// began.
var ErrFrozen = errors.New("the snapshot is frozen while recovery is not complete")

// settle is how long changes are gathered before the set is looked at: a start
// or stop of a container is several changes. With the look and the write it has
// to stay under a second.
const settle = 300 * time.Millisecond

// beginWatch watches the containers' units from now on, as long as watching
// lasts. Before, there is no snapshot.
func (s *Service) beginWatch(watching context.Context) error {
	watch, err := s.Systemd.Watch(watching)
	if err != nil {
		return fmt.Errorf("containers cannot be watched: %w", err)
	}
	s.keeping.Lock()
	defer s.keeping.Unlock()
	s.watch = watch
	return nil
}

// follow keeps the set on disk up to date until ctx ends. Between changes it
// sleeps. When the bus goes away it returns ErrNoBus: a user's manager that
// goes takes its containers with it, and its runtime directory comes back as
// one that this process cannot see. A new process can, and finds by our marker
// that what ran has to be brought back; where nothing is down, it starts
// nothing.
func (s *Service) follow(ctx context.Context) error {
	s.followChanges(ctx, s.watch.Changes())
	if ctx.Err() == nil {
		return fmt.Errorf("containers can no longer be watched: %w", ErrNoBus)
	}
	return nil
}

func (s *Service) followChanges(ctx context.Context, changes <-chan struct{}) {
	for open := true; open; {
		// Also before the first change: what changed before we listened.
		if _, err := s.TakeSnapshot(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("the snapshot stays as last saved", "reason", err)
		}
		select {
		case _, open = <-changes:
		case <-ctx.Done():
			return
		}
		sleep(ctx, settle)
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// TakeSnapshot brings the set on disk up to date with the host: a full check,
// asked for by the snapshot timer or an operator. An unchanged set is not
// written again.
func (s *Service) TakeSnapshot(ctx context.Context) (Snapshot, error) {
	if s.Phase() != Ready {
		return Snapshot{}, ErrFrozen
	}
	return s.snapshot(ctx)
}

func (s *Service) snapshot(ctx context.Context) (Snapshot, error) {
	s.keeping.Lock()
	defer s.keeping.Unlock()
	s.mu.Lock()
	last := s.set
	s.mu.Unlock()

	if s.watch == nil {
		return last, ErrFrozen
	}
	next, err := s.lookAtSet(ctx, last.Containers)
	if err != nil {
		return last, err
	}
	// Asked after the look: what it saw go may have gone with the host, or
	// with a user's manager that has a successor by now.
	switch down, err := s.watch.GoingDown(ctx); {
	case err != nil:
		return last, fmt.Errorf("cannot tell whether the host is going down: %w", err)
	case down:
		return last, ErrGoingDown
	}
	onDisk, err := s.Store.Snapshot()
	if err == nil && onDisk.SameSet(next) {
		s.change(func() { s.set = onDisk })
		return onDisk, nil
	}
	if err := s.Store.SaveSnapshot(next); err != nil {
		return last, fmt.Errorf("cannot save the snapshot: %w", err)
	}
	s.change(func() { s.set = next })
	s.Log.Debug("snapshot saved", "MESSAGE_ID", MsgSnapshotSaved, "containers", len(next.Containers))
	return next, nil
}

// lookAtSet is the set now. Any failure to look changes nothing.
func (s *Service) lookAtSet(ctx context.Context, last []Container) (Snapshot, error) {
	began := s.Journal.Now() // what happens during the look is replayed: twice does no harm
	list, err := s.Podman.List(ctx)
	if err != nil {
		return Snapshot{}, fmt.Errorf("cannot list the containers: %w", err)
	}
	var units []string
	for _, c := range last {
		if c.Unit != "" {
			units = append(units, c.Unit)
		}
	}
	states, err := s.Systemd.States(ctx, units)
	if err != nil {
		return Snapshot{}, fmt.Errorf("cannot ask systemd for the units: %w", err)
	}
	userStopped, err := s.Store.UserStopped()
	if err != nil {
		return Snapshot{}, fmt.Errorf("cannot read the user-stopped list: %w", err)
	}
	for _, sighting := range list {
		if sighting.Running() {
			delete(s.unrecovered, sighting.Name)
		}
	}
	return Snapshot{
		Timestamp:  time.Now().Unix(),
		Containers: NextSet(last, list, states, userStopped, s.unrecovered),
		BootID:     s.identity.BootID,
		Monotonic:  began,
	}, nil
}

// unrecovered names what should run and could not be brought up.
func (r Report) unrecovered() map[string]bool {
	names := map[string]bool{}
	for _, row := range r.Rows {
		if row.State == RowFailed || row.State == RowDeferred {
			names[row.Name] = true
		}
	}
	return names
}

// carriedOver is what recovery hands on to the set that is kept from READY on:
// all that should run, also what could not be brought up. last is the set that
// it worked from, which knows more of a container than a row does.
func (r Report) carriedOver(last []Container) []Container {
	known := map[string]Container{}
	for _, c := range last {
		known[c.Name] = c
	}
	var set []Container
	for _, row := range r.Rows {
		if row.State != RowMissing && row.State != RowUserStopped {
			set = append(set, Container{Name: row.Name, Image: row.Image, Unit: row.Unit, Tier: known[row.Name].Tier})
		}
	}
	return set
}

// UserStopped is the list of names that are never started automatically.
func (s *Service) UserStopped() ([]string, error) { return s.Store.UserStopped() }

// SetUserStopped puts a name on the list or takes it off, and reports whether
// that changed anything. The container itself is neither stopped nor started.
func (s *Service) SetUserStopped(name string, stopped bool) (changed bool, err error) {
	if err := CheckName(name); err != nil {
		return false, err
	}
	s.keeping.Lock()
	defer s.keeping.Unlock()
	names, err := s.Store.UserStopped()
	if err != nil {
		return false, err
	}
	if slices.Contains(names, name) == stopped {
		return false, nil
	}
	if stopped {
		names = append(names, name)
	} else {
		names = slices.DeleteFunc(names, func(n string) bool { return n == name })
	}
	slices.Sort(names)
	if err := s.Store.SaveUserStopped(names); err != nil {
		return false, err
	}
	s.Log.Info("user-stopped list changed", "MESSAGE_ID", MsgUserStoppedSet, "container", name, "stopped", stopped)
	s.change(func() {})
	return true, nil
}
