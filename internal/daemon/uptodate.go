package daemon

import (
	"context"
	"maps"
	"slices"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/survey"
)

// replayed is a set brought up to date with the journal.
type replayed struct {
	set []recover.Container
	// before is the set at the beginning of the boot that was replayed last.
	before []recover.Container
	// dead names the containers that died in that boot and were not started since.
	dead map[string]bool
}

// An updater brings a snapshot's set up to date.
type updater struct {
	world World
	board *board
}

// replay replays over the snapshot's set what the journal has of the time after it: of
// the snapshot's boot, and of the later boots, unsaved, in which no recovery got as far as
// READY. A journal that cannot be read leaves the set as it is.
func (u updater) replay(ctx context.Context, snapshot *recover.Snapshot, unsaved []string) replayed {
	if snapshot == nil {
		return replayed{}
	}
	now := replayed{set: snapshot.Containers}
	if snapshot.BootID == "" {
		return now
	}
	read := 0
	const partly = "not all is known of what happened after the snapshot"
	if doubtful, since := snapshot.Doubtful(); len(doubtful) > 0 {
		events, err := u.world.Journal.EventsOf(ctx, snapshot.BootID, since, doubtful)
		if err != nil {
			u.board.note(impaired, partly, err)
		}
		now.set = withoutStoppedOnes(now.set, doubtful, recover.Replay(doubtful, events))
	}
	more := func(boot string, since time.Duration) {
		events, err := u.world.Journal.Events(ctx, boot, since, survey.Units(now.set))
		if err != nil {
			u.board.note(impaired, partly, err)
		}
		now.before = now.set
		now.set, now.dead = recover.BringUpToDate(now.before, events)
		read += len(events)
	}
	alive, _ := u.world.Store.LastAlive() // without it more is replayed
	more(snapshot.BootID, alive.Replay(*snapshot))
	for _, boot := range unsaved {
		more(boot, 0)
	}
	u.world.Log.Info("snapshot brought up to date", "MESSAGE_ID", recover.MsgReplayed,
		"events", read, "before", len(snapshot.Containers), "after", len(now.set))
	return now
}

// withoutStoppedOnes is the set without those of the doubtful members that have not failed.
func withoutStoppedOnes(set, doubtful, failed []recover.Container) []recover.Container {
	return slices.DeleteFunc(slices.Clone(set), func(c recover.Container) bool {
		return recover.HasName(doubtful, c.Name) && !recover.HasName(failed, c.Name)
	})
}

// correct decides, after a crash in this boot, what a replay can only guess, by
// asking systemd and podman.
func (u updater) correct(ctx context.Context, now replayed, view recover.View) []recover.Container {
	set := map[string]recover.Container{}
	for _, c := range now.set {
		set[c.Name] = c
	}
	u.correctByUnits(ctx, set, now, view)
	u.correctByPodman(ctx, set, now, view)
	return recover.Snapshot{Containers: slices.Collect(maps.Values(set))}.Sorted()
}

// correctByUnits asks systemd: whether it is about to start a unit again that has
// ended, and whether a unit runs the container whose label names it. A look would
// not have believed that label either.
func (u updater) correctByUnits(
	ctx context.Context, set map[string]recover.Container, now replayed, view recover.View,
) {
	var ended []string
	for _, c := range now.before {
		if _, stayed := set[c.Name]; !stayed && c.Unit != "" {
			ended = append(ended, c.Unit)
		}
	}
	var claims []survey.Claim
	for _, c := range now.set {
		if c.Unit != "" && !recover.HasName(now.before, c.Name) {
			claims = append(claims, survey.Claim{Unit: c.Unit, Container: c.Name})
		}
	}
	states := map[string]recover.UnitState{}
	if len(ended) > 0 {
		states, _ = u.world.Systemd.States(ctx, ended) // without them the guess stands
	}
	believed, err := u.world.host().Believe(ctx, claims, view.Units)
	for _, claim := range claims {
		if err == nil && !believed[claim] {
			c := set[claim.Container]
			c.Unit = ""
			set[c.Name] = c
		}
	}
	for _, c := range now.before {
		if states[c.Unit].Returning() {
			set[c.Name] = c
		}
	}
}

// correctByPodman asks podman, of each container without a unit that ended badly or
// is about to end, whether someone stopped it. A reboot makes podman forget that.
func (u updater) correctByPodman(
	ctx context.Context, set map[string]recover.Container, was replayed, view recover.View,
) {
	for _, c := range slices.Concat(was.before, slices.Collect(maps.Values(set))) {
		now, _ := view.Sighting(c.Name)
		if doubtful(c, was.dead, view) {
			set[c.Name] = c // podman is asked again before its start
		}
		if c.Unit != "" || !now.Failed() && now.State != recover.StateStopping {
			continue
		}
		switch stopped, err := u.world.Podman.StoppedByUser(ctx, c.Name); {
		case err != nil: // the guess stands
		case stopped:
			delete(set, c.Name)
		default:
			set[c.Name] = c
		}
	}
}

// doubtful reports whether a container without a unit died, and podman has yet to answer for
// it: whether it was stopped is not known.
func doubtful(c recover.Container, dead map[string]bool, view recover.View) bool {
	return c.Unit == "" && dead[c.Name] && view.Unanswered[c.Name]
}
