package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
	"archy-recovery/internal/recover/survey"
)

// A sight is what podman shows at one look.
type sight struct {
	list recover.Sightings
	// unanswered names the containers that podman did not answer for in time. Nothing is
	// concluded from that.
	unanswered map[string]bool
	// part: the list has only the members and what was started since the last look.
	part bool
}

// A seen is what podman and systemd showed at a look.
type seen struct {
	list  recover.Sightings
	units map[string]recover.UnitState
	// allowed is engine.Sight.Allowed.
	allowed func(name string) bool
}

// asSight is what the engine is told of a look that began at began and whose set is next.
func (s seen) asSight(began time.Time, next recover.Snapshot) engine.Sight {
	runs, members := map[string]bool{}, map[string]bool{}
	for _, c := range s.list {
		runs[c.Name] = runs[c.Name] || c.Running()
		runs[c.Unit] = runs[c.Unit] || c.Running()
	}
	for _, c := range next.Containers {
		members[c.Name], members[c.Unit] = true, true
	}
	either := func(names map[string]bool) func(recover.Row) bool {
		return func(row recover.Row) bool { return names[row.Name] || row.Unit != "" && names[row.Unit] }
	}
	// The container of a unit that is being started runs, and may never be ready.
	starts := func(row recover.Row) bool { return !row.Generated && s.units[row.Unit].Returning() }
	return engine.Sight{
		Began: began, Runs: func(row recover.Row) bool { return either(runs)(row) && !starts(row) },
		Member: either(members), Units: s.units, Allowed: s.allowed,
	}
}

// stuckWithin bounds the question for a container that podman did not answer for at the
// last look.
const stuckWithin = 500 * time.Millisecond

// askWithin bounds all questions about single containers of one kind in one look. A podman
// that is dead answers for none of them.
const askWithin = 20 * time.Second

// sight asks podman for its list. While that is late, it asks for each of the members
// alone, and for what the journal says was started since the last look.
func (k *keeper) sight(ctx context.Context, last recover.Snapshot) (sight, error) {
	list, err := k.world.Podman.List(ctx)
	if !survey.NotInTime(err) {
		return sight{list: list, unanswered: map[string]bool{}}, err
	}
	ask := map[string]recover.Container{}
	for _, c := range last.Containers {
		ask[c.Name] = c
	}
	for _, c := range k.startedSince(ctx, last) {
		if _, member := ask[c.Name]; !member {
			ask[c.Name] = c
		}
	}
	var names, stuck []string
	for name := range ask {
		if k.stuck[name] {
			stuck = append(stuck, name)
		} else {
			names = append(names, name)
		}
	}
	s := sight{unanswered: map[string]bool{}, part: true}
	briefly, cancel := context.WithTimeout(ctx, stuckWithin)
	defer cancel()
	again := make(chan []survey.Answer, 1)
	go func() { again <- k.world.host().InspectEach(briefly, stuck) }()
	bounded, stop := context.WithTimeout(ctx, askWithin)
	defer stop()
	answers := k.world.host().InspectEach(bounded, names)
	for _, a := range slices.Concat(answers, <-again) {
		switch {
		case errors.Is(a.Err, recover.ErrNoContainer):
		case a.Err != nil:
			s.unanswered[a.Name] = true
		default:
			a.Sighting.Container = completed(a.Sighting.Container, ask[a.Name])
			s.list = append(s.list, a.Sighting)
		}
	}
	return s, nil
}

// completed is what podman says of one container, with what it leaves out by what is known.
func completed(said, known recover.Container) recover.Container {
	if said.Image == "" {
		said.Image = known.Image
	}
	if said.Unit == "" {
		said.Unit = known.Unit
	}
	if said.Tier == nil {
		said.Tier = known.Tier
	}
	return said
}

// startedSince are the containers that the journal says were started since the last
// look, but for the infra containers of pods.
func (k *keeper) startedSince(ctx context.Context, last recover.Snapshot) []recover.Container {
	since := k.looked
	if since == 0 && last.Of(k.identity) {
		since = last.Monotonic
	}
	events, err := k.world.Journal.Events(ctx, k.identity.BootID, since, nil)
	if err != nil {
		k.world.Log.Debug("what was started since the last look cannot be read", "error", err)
	}
	var started []recover.Container
	for _, event := range events {
		if e, ok := event.(recover.ContainerStarted); ok && !e.Infra && recover.CheckName(e.Name) == nil {
			started = append(started, e.Container)
		}
	}
	return started
}

// nextSet is the set now. A member that podman did not answer for stays as it was.
func (s sight) nextSet(
	last []recover.Container, states map[string]recover.UnitState, userStopped []string,
) []recover.Container {
	if len(s.unanswered) == 0 {
		return recover.NextSet(last, s.list, states, userStopped)
	}
	var asked, kept []recover.Container
	for _, c := range last {
		switch {
		case !s.unanswered[c.Name]:
			asked = append(asked, c)
		case !slices.Contains(userStopped, c.Name):
			kept = append(kept, c)
		}
	}
	list := slices.DeleteFunc(slices.Clone(s.list), func(c recover.Sighting) bool { return s.unanswered[c.Name] })
	next := recover.NextSet(asked, list, states, userStopped)
	return recover.Snapshot{Containers: append(next, kept...)}.Sorted()
}

// showNow publishes what the rows of the recovery and the members of the set do now, as a
// look saw it that began at began.
func (k *keeper) showNow(
	list recover.Sightings, states map[string]recover.UnitState, unanswered map[string]bool, began time.Time,
) {
	status, _ := k.board.status()
	units, jobs := map[string]string{}, map[string]bool{}
	for _, c := range status.Set.Containers {
		units[c.Name], jobs[c.Name] = c.Unit, c.Job
	}
	for _, row := range status.Recovery.Rows {
		jobs[row.Name] = jobs[row.Name] || row.Job
		if units[row.Name] == "" && !row.Generated {
			units[row.Name] = row.Unit
		}
	}
	byName, runs := list.ByName(), map[string]bool{}
	for _, s := range list {
		runs[s.Unit] = runs[s.Unit] || s.Running()
	}
	now := map[string]recover.NowState{}
	for name, unit := range units {
		now[name] = nowOf(name, byName, states[unit], jobs[name], unanswered[name])
		if _, known := byName[name]; !known && k.unnamed[unit] && runs[unit] {
			now[name] = recover.NowRunning // under another name
		}
	}
	for name, s := range byName {
		if s.Running() && !s.Infra {
			now[name] = recover.NowRunning
		}
	}
	k.board.replaceNow(now, began)
	if k.board.found(now) {
		k.amended()
	}
	k.tellStatus()
}
