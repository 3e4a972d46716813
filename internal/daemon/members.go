package daemon

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/survey"
)

// membersDown names the members of a set that do not run, nor are on their way to
// an end.
func membersDown(
	set []recover.Container, list recover.Sightings, states map[string]recover.UnitState, unanswered map[string]bool,
) []string {
	var names []string
	byName := list.ByName()
	for _, c := range set {
		now := byName[c.Name]
		ending := states[c.Unit].Active == "deactivating" || now.Ending()
		if !ending && !now.Running() && !unanswered[c.Name] {
			names = append(names, c.Name)
		}
	}
	return names
}

// withStarting returns a set with the members whose start by recovery is under way, such as
// that of a job, for which READY does not wait: systemd may not show it yet.
func (k *keeper) withStarting(next, members []recover.Container, stopped []string) []recover.Container {
	status, _ := k.board.status()
	for _, row := range status.Recovery.Rows {
		i := slices.IndexFunc(members, func(c recover.Container) bool { return c.Name == row.Name })
		if row.State == recover.RowStarting && i >= 0 &&
			!recover.HasName(next, row.Name) && !slices.Contains(stopped, row.Name) {
			next = append(next, members[i])
		}
	}
	return recover.Snapshot{Containers: next}.Sorted()
}

// withoutSucceeded returns the members without those that were succeeded: podman does not
// know them any more, and their unit, which names no container, runs another one. Such a
// unit would otherwise add a member at each restart.
func (k *keeper) withoutSucceeded(
	members []recover.Container, list recover.Sightings, unanswered map[string]bool,
) []recover.Container {
	runs := map[string]bool{}
	for _, s := range list {
		runs[s.Unit] = runs[s.Unit] || s.Running() && !s.Infra
	}
	byName := list.ByName()
	return slices.DeleteFunc(slices.Clone(members), func(c recover.Container) bool {
		_, known := byName[c.Name]
		return c.Unit != "" && k.unnamed[c.Unit] && runs[c.Unit] && !known && !unanswered[c.Name]
	})
}

// withBelievedUnits returns the members without the units that they claim
// wrongly, and takes such units from the list, in place. Each claim that holds is
// asked about once.
func (k *keeper) withBelievedUnits(
	ctx context.Context, members []recover.Container, list recover.Sightings,
) ([]recover.Container, error) {
	var asked []survey.Claim
	ask := func(c recover.Container) {
		if claim := (survey.Claim{Unit: c.Unit, Container: c.Name}); c.Unit != "" && !k.believed[claim] {
			asked = append(asked, claim)
		}
	}
	for _, c := range members {
		ask(c)
	}
	for _, sighting := range list {
		ask(sighting.Container)
	}
	answers, jobs, unnamed, err := k.world.host().Jobs(ctx, asked)
	if err != nil {
		return nil, err
	}
	for claim, holds := range answers {
		if holds {
			k.believed[claim] = true
		}
	}
	maps.Copy(k.jobs, jobs)
	maps.Copy(k.unnamed, unnamed)
	k.forgetUnits(members, list)
	members = slices.Clone(members)
	for i, c := range members {
		if !k.believed[survey.Claim{Unit: c.Unit, Container: c.Name}] {
			members[i].Unit = ""
		}
		members[i].Job = k.isJob(members[i])
	}
	for i, sighting := range list {
		if !k.believed[survey.Claim{Unit: sighting.Unit, Container: sighting.Name}] {
			list[i].Unit = ""
		}
		list[i].Job = k.isJob(list[i].Container)
	}
	return members, nil
}

// forgetUnits drops what is known of units that no container names any more.
func (k *keeper) forgetUnits(members []recover.Container, list recover.Sightings) {
	claimed, named := map[survey.Claim]bool{}, map[string]bool{}
	note := func(c recover.Container) {
		claimed[survey.Claim{Unit: c.Unit, Container: c.Name}], named[c.Unit] = true, true
	}
	for _, c := range members {
		note(c)
	}
	for _, s := range list {
		note(s.Container)
	}
	maps.DeleteFunc(k.believed, func(c survey.Claim, _ bool) bool { return !claimed[c] })
	maps.DeleteFunc(k.jobs, func(unit string, _ bool) bool { return !named[unit] })
	maps.DeleteFunc(k.unnamed, func(unit string, _ bool) bool { return !named[unit] })
}

// isJob reports whether a container's unit runs to its end. A member may be a job of a
// unit that podman's label does not name.
func (k *keeper) isJob(c recover.Container) bool { return k.jobs[c.Unit] || c.Job && c.Unit == "" }

// askIfStopped fills in StoppedByUser for the members that failed. podman answers for one
// container at a time, so it is asked about no others. One that it does not answer for in
// time is put to unanswered. One that is gone by now is left out of the list.
func (k *keeper) askIfStopped(
	ctx context.Context, members []recover.Container, list recover.Sightings, unanswered map[string]bool,
) (recover.Sightings, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	asked := make(recover.Sightings, 0, len(list))
	for _, sighting := range list {
		if recover.HasName(members, sighting.Name) && sighting.Failed() {
			stopped, err := k.world.Podman.StoppedByUser(ctx, sighting.Name)
			switch {
			case errors.Is(err, recover.ErrNoContainer):
				continue
			case survey.NotInTime(err):
				unanswered[sighting.Name] = true
			case err != nil:
				return nil, err
			}
			sighting.StoppedByUser = stopped
		}
		asked = append(asked, sighting)
	}
	return asked, nil
}

// withoutStopped drops from the set the members whose unit is failed since it
// ended badly when it was told to stop. systemd's state does not tell that from
// a unit that failed by itself. The journal does: it is asked, once a failure, for
// the time since the set was last saved. A member that it cannot tell of stays, and
// stays in doubt: the next look asks for the same time again, also after this run.
func (k *keeper) withoutStopped(
	ctx context.Context, set []recover.Container, last recover.Snapshot, states map[string]recover.UnitState,
) (kept []recover.Container, doubts map[string]time.Duration) {
	asked := recover.Snapshot{Doubts: map[string]time.Duration{}}
	for _, c := range set {
		switch failed := states[c.Unit].Active == "failed"; {
		case !failed:
			delete(k.failures, c.Name)
		case !k.failures[c.Name] && !c.Unrecovered:
			asked.Containers = append(asked.Containers, c)
			asked.Doubts[c.Name] = doubtSince(last, c.Name, k.identity)
		}
	}
	doubtful, since := asked.Doubtful()
	if len(doubtful) == 0 {
		return set, nil
	}
	// With an error these are the newest events, which may say already that one was stopped.
	events, err := k.world.Journal.EventsOf(ctx, k.identity.BootID, since, doubtful)
	if err != nil {
		k.world.Log.Debug("it is not known yet whether failed containers were stopped", "error", err)
	}
	failed := recover.Replay(doubtful, events)
	return slices.DeleteFunc(set, func(c recover.Container) bool {
		switch {
		case !recover.HasName(doubtful, c.Name):
			return false
		case !recover.HasName(failed, c.Name):
			return true
		case err == nil:
			k.failures[c.Name] = true
			return false
		}
		if doubts == nil {
			doubts = map[string]time.Duration{}
		}
		doubts[c.Name] = asked.Doubts[c.Name] // better one too many
		return false
	}), doubts
}

// doubtSince is the moment from which on the journal is asked for the end of a member.
func doubtSince(last recover.Snapshot, name string, here recover.Identity) time.Duration {
	if !last.Of(here) {
		return 0
	}
	if since, doubtful := last.Doubts[name]; doubtful {
		return since
	}
	return last.Monotonic
}

// since is the journal's time of what the set on disk has.
func (k *keeper) since(last recover.Snapshot) time.Duration {
	if k.looked == 0 && last.Of(k.identity) {
		return last.Monotonic
	}
	return k.looked
}

// withUnseen adds to the set the containers that were started since the last look that
// succeeded, if others have failed since: one of them may have failed, too, and should run.
func (k *keeper) withUnseen(ctx context.Context, last recover.Snapshot) recover.Snapshot {
	if !k.blind {
		return last
	}
	events, err := k.world.Journal.Events(ctx, k.identity.BootID, k.since(last), survey.Units(last.Containers))
	if err != nil {
		return last // not known
	}
	last.Containers = slices.Clone(last.Containers)
	for _, c := range recover.Replay(last.Containers, events) {
		if !recover.HasName(last.Containers, c.Name) {
			last.Containers = append(last.Containers, c)
		}
	}
	return last
}

// withoutStartedOnce drops from the set the members that recovery did not bring up, and that
// were started and stopped again between two looks. The journal is asked only while there is
// a member that has not run. Its start by recovery, before its fall, does not count.
func (k *keeper) withoutStartedOnce(
	ctx context.Context, set []recover.Container, last recover.Snapshot,
) []recover.Container {
	if !slices.ContainsFunc(set, func(c recover.Container) bool { return c.Unrecovered }) {
		return set
	}
	events, err := k.world.Journal.Events(ctx, k.identity.BootID, k.since(last), survey.Units(set))
	if err != nil {
		return set // not known: better one too many
	}
	ran := map[string]bool{}
	for _, event := range events {
		if e, ok := event.(recover.ContainerStarted); ok {
			ran[e.Name] = true
		}
	}
	kept := recover.Replay(set, events)
	return slices.DeleteFunc(slices.Clone(set), func(c recover.Container) bool {
		return c.Unrecovered && ran[c.Name] && !recover.HasName(kept, c.Name) && !k.judged.stays(c.Name)
	})
}
