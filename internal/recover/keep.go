package recover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ErrFrozen: the snapshot does not change before READY, nor after the stop
// began.
var ErrFrozen = errors.New("the snapshot is frozen while recovery is not complete")

// settle is how long changes are gathered before the set is looked at: a start
// or stop of a container is several changes. With the look and the write it has
// to stay under a second.
const settle = 300 * time.Millisecond

// busGrace is how long a lost bus may be the first sign of our own stop.
const busGrace = 3 * time.Second

// lookWithin bounds one look at the set.
const lookWithin = 60 * time.Second

// beginWatch watches the containers' units from now on, as long as watching
// lasts. Before, there is no snapshot.
func (s *Service) beginWatch(watching context.Context) error {
	watch, err := s.Systemd.Watch(watching)
	if err != nil {
		return fmt.Errorf("containers cannot be watched: %w", err)
	}
	s.keeping.Lock()
	defer s.keeping.Unlock()
	s.watch, s.unsaved = watch, true
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
	// At a shutdown the bus may end a moment before we are told to.
	if !over(ctx, busGrace) {
		return fmt.Errorf("containers can no longer be watched: %w", ErrNoBus)
	}
	return nil
}

func (s *Service) followChanges(ctx context.Context, changes <-chan struct{}) {
	for open := true; open; {
		// Also before the first change: what changed before we listened.
		if _, err := s.snapshot(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("the snapshot stays as last saved", "MESSAGE_ID", MsgImpaired, "reason", err)
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
// asked for by the snapshot timer or an operator. It says what the watch had
// not seen. An unchanged set is not written again.
func (s *Service) TakeSnapshot(ctx context.Context) (Snapshot, error) {
	if s.Phase() != Ready {
		return Snapshot{}, ErrFrozen
	}
	status, _ := s.Status()
	next, err := s.snapshot(ctx)
	if joined, left := status.Set.changes(next); err == nil && len(joined)+len(left) > 0 {
		s.Log.Info("the full check found a difference", "MESSAGE_ID", MsgSetDiffered, "joined", strings.Join(joined, " "), "left", strings.Join(left, " "))
	}
	return next, err
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
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	s.catchUp()
	next, err := s.lookAtSet(ctx, last)
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
	if err == nil && !s.unsaved && onDisk.SameSet(next) && onDisk.Of(s.identity) {
		s.change(func() { s.set = onDisk })
		return onDisk, nil
	}
	err = s.Store.SaveSnapshot(next)
	s.unsaved = err != nil
	if err != nil {
		return last, fmt.Errorf("cannot save the snapshot: %w", err)
	}
	s.change(func() { s.set = next })
	s.Log.Debug("snapshot saved", "MESSAGE_ID", MsgSnapshotSaved, "containers", len(next.Containers))
	return next, nil
}

// catchUp writes what could not be written before. Called with keeping held.
func (s *Service) catchUp() {
	if s.unmarked && s.Store.WriteMarker(s.identity) == nil {
		s.unmarked = false
	}
	s.flight.Retry()
	s.mu.Lock()
	unkept, q := s.unkept, s.suspects
	s.mu.Unlock()
	if unkept {
		_ = s.saveQuarantine(q) // it says so itself
	}
}

// lookAtSet is the set now. Any failure to look changes nothing.
func (s *Service) lookAtSet(ctx context.Context, last Snapshot) (Snapshot, error) {
	began := s.Journal.Now() // what happens during the look is replayed: twice does no harm
	list, err := s.Podman.List(ctx)
	if err != nil {
		return Snapshot{}, fmt.Errorf("cannot list the containers: %w", err)
	}
	if last.Containers, err = s.withBelievedUnits(ctx, last.Containers, list); err != nil {
		return Snapshot{}, fmt.Errorf("cannot ask systemd what the units run: %w", err)
	}
	var units []string
	for _, c := range last.Containers {
		if c.Unit != "" {
			units = append(units, c.Unit)
		}
	}
	list, err = s.askWhoStopped(ctx, last.Containers, list)
	if err != nil {
		return Snapshot{}, fmt.Errorf("cannot ask podman who stopped what: %w", err)
	}
	states, err := s.Systemd.States(ctx, units)
	if err != nil {
		return Snapshot{}, fmt.Errorf("cannot ask systemd for the units: %w", err)
	}
	userStopped, err := s.Store.UserStopped()
	if err != nil {
		return Snapshot{}, fmt.Errorf("cannot read the user-stopped list: %w", err)
	}
	s.pardonRunning(list)
	status, _ := s.Status()
	if q := s.disown(status.Quarantine); !slices.Equal(q, status.Quarantine) {
		s.change(func() { s.suspects = q })
		_ = s.saveQuarantine(q) // tried again at the next look
		status.Quarantine = q
	}
	next := NextSet(last.Containers, list, states, s.byOthers(userStopped, status.Quarantine))
	// That nobody stopped them is known now. It is saved: were their ends replayed
	// after a crash of the host, it would be guessed.
	if down := down(next, list, states); !slices.Equal(down, s.down) {
		s.down, s.unsaved = down, true
	}
	return Snapshot{
		Timestamp:   time.Now().Unix(),
		Containers:  s.withoutStopped(ctx, next, last, states),
		BootID:      s.identity.BootID,
		SoftReboots: s.identity.SoftReboots,
		Monotonic:   began,
	}, nil
}

// down are the members of a set that do not run, nor are on their way to an end.
func down(set []Container, list []Sighting, states map[string]UnitState) []string {
	var names []string
	for _, c := range set {
		i := slices.IndexFunc(list, func(s Sighting) bool { return s.Name == c.Name })
		ending := states[c.Unit].Active == "deactivating" || i >= 0 && (list[i].State == "stopping" || list[i].State == "removing")
		if !ending && (i < 0 || !list[i].Running()) {
			names = append(names, c.Name)
		}
	}
	return names
}

// withBelievedUnits takes from the members, and in place from the list, the units
// that they claim wrongly: they are without one. Each claim that holds is asked
// about once.
func (s *Service) withBelievedUnits(ctx context.Context, members []Container, list []Sighting) ([]Container, error) {
	var asked []Claim
	ask := func(c Container) {
		if claim := (Claim{c.Unit, c.Name}); c.Unit != "" && !s.believed[claim] {
			asked = append(asked, claim)
		}
	}
	for _, c := range members {
		ask(c)
	}
	for _, sighting := range list {
		ask(sighting.Container)
	}
	answers, err := Believe(ctx, s.Systemd, asked, nil)
	if err != nil {
		return nil, err
	}
	for claim, holds := range answers {
		if holds {
			s.believed[claim] = true
		}
	}
	members = slices.Clone(members)
	for i, c := range members {
		if !s.believed[Claim{c.Unit, c.Name}] {
			members[i].Unit = ""
		}
	}
	for i, sighting := range list {
		if !s.believed[Claim{sighting.Unit, sighting.Name}] {
			list[i].Unit = ""
		}
	}
	return members, nil
}

// askWhoStopped fills in StoppedByUser for the members that failed without a
// unit. podman tells it of one container at a time, so nobody else is asked of.
func (s *Service) askWhoStopped(ctx context.Context, last []Container, list []Sighting) ([]Sighting, error) {
	for i, sighting := range list {
		if !holds(last, sighting.Name) || !sighting.failed() {
			continue
		}
		var err error
		if list[i].StoppedByUser, err = s.Podman.StoppedByUser(ctx, sighting.Name); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// withoutStopped drops from the set the members whose unit is failed since it
// ended badly when it was told to stop. systemd's state does not tell that from
// a unit that failed by itself; the journal does, of the time since the set was
// last saved, and is asked once a failure.
func (s *Service) withoutStopped(ctx context.Context, set []Container, last Snapshot, states map[string]UnitState) []Container {
	var doubtful []Container
	for _, c := range set {
		switch failed := states[c.Unit].Active == "failed"; {
		case !failed:
			delete(s.failures, c.Name)
		case !s.failures[c.Name] && !c.Unrecovered:
			doubtful = append(doubtful, c)
		}
	}
	if len(doubtful) == 0 {
		return set
	}
	var since time.Duration
	if last.Of(s.identity) {
		since = last.Monotonic
	}
	events, err := s.Journal.Events(ctx, s.identity.BootID, since)
	if err != nil {
		return set // not known: better one too many
	}
	kept := Replay(doubtful, events)
	return slices.DeleteFunc(set, func(c Container) bool {
		if !holds(doubtful, c.Name) {
			return false
		}
		if holds(kept, c.Name) {
			s.failures[c.Name] = true
			return false
		}
		return true
	})
}

// allMissing: nobody knows any of the containers. They were hardly all removed
// at once; rather the disk they lie on is not there, and may be later.
func (r Report) allMissing() bool {
	return len(r.Rows) > 0 && r.Counts()[RowMissing] == len(r.Rows)
}

// carriedOver is what recovery hands on to the set that is kept from READY on:
// all that should run, also what could not be brought up. last is the set that
// it worked from, which knows more of a container than a row does.
func (r Report) carriedOver(last []Container) []Container {
	allMissing := r.allMissing()
	known := map[string]Container{}
	for _, c := range last {
		known[c.Name] = c
	}
	var set []Container
	for _, row := range r.Rows {
		if row.State == RowUserStopped || row.State == RowMissing && !allMissing {
			continue
		}
		c := Container{Name: row.Name, Image: row.Image, Unit: row.Unit, Tier: known[row.Name].Tier}
		c.Unrecovered = row.State != RowUp && row.State != RowActive
		if row.Generated {
			c.Unit = "" // it only starts the container, and says nothing of it later
		}
		set = append(set, c)
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
	if changed, err = s.editUserStopped(name, stopped); err != nil {
		return false, err
	}
	status, _ := s.Status()
	if suspect, known := status.Quarantine.Find(name); known && suspect.Listed {
		suspect.Listed = false // from now on it is the user's word
		s.change(func() { s.suspects = s.suspects.With(suspect) })
		_ = s.saveQuarantine(status.Quarantine.With(suspect)) // tried again at the next look
	}
	if changed {
		s.Log.Info("user-stopped list changed", "MESSAGE_ID", MsgUserStoppedSet, "container", name, "stopped", stopped)
		s.change(func() {})
	}
	return changed, nil
}

// editUserStopped puts a name on the list on disk or takes it off.
func (s *Service) editUserStopped(name string, stopped bool) (changed bool, err error) {
	return s.Store.EditUserStopped(func(names []string) []string {
		if slices.Contains(names, name) == stopped {
			return names
		}
		if !stopped {
			return slices.DeleteFunc(names, func(n string) bool { return n == name })
		}
		names = append(names, name)
		slices.Sort(names)
		return names
	})
}
