package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/survey"
)

// findings is what an assessment found out: the containers that should run, and
// how the host shows them.
type findings struct {
	candidates []recover.Container
	view       recover.View
}

// assess finds out how the last run ended and plans what to start. From the
// moment the old marker is replaced until a clean stop there is a marker: a
// crash in the middle of recovery is a crash, and the snapshot that recovery
// works from is not touched before READY.
func (s *Service) assess(ctx context.Context) ([]recover.Row, error) {
	last := s.world.Store.Marker()
	verdict, err := s.judge(last)
	if err != nil {
		return nil, err
	}
	snapshot := s.loadSnapshot()
	var unsaved []string
	if verdict.Unclean() {
		if snapshot != nil {
			unsaved = last.Unsaved(snapshot.BootID)
		}
		s.marker.replace(unsaved)
	}
	if snapshot != nil {
		s.world.storage.at(snapshot.GraphRoot)
	}
	s.again = verdict.InThisBoot(s.identity) || snapshot != nil && snapshot.Of(s.identity)
	explained := make(chan recover.Verdict, 1)
	background := ctx
	explain := func() { s.explain(background, verdict, explained) }
	ctx, cancel := context.WithTimeout(ctx, assessWithin)
	defer cancel()
	var found findings
	switch {
	case !verdict.Unclean():
		explain()
		found = s.afterCleanStop(ctx, verdict, snapshot)
	case snapshot != nil && s.again:
		explain()
		found = s.afterServiceCrash(ctx, verdict, snapshot, unsaved)
	default:
		s.checkup.begin(&s.background, background)
		found = s.afterHostCrash(ctx, verdict, snapshot, unsaved, explain)
	}
	if s.policy.Mode != recover.ModeNormal {
		s.board.addNote(fmt.Sprintf("%s=%s is on the kernel command line", recover.CommandLineKey, s.policy.Mode))
		s.world.Log.Warn("the kernel command line asks for another mode",
			"MESSAGE_ID", recover.MsgMode, "mode", string(s.policy.Mode))
	}
	rows := s.plan(ctx, found, s.suspects.judge(ctx, verdict, explained, found.view))
	if s.suspects.quiet {
		s.background.Go(func() { s.suspects.crashedQuietly(<-explained) })
	}
	if s.board.restartedInOrder() {
		rows = s.resumed(rows)
	}
	s.ids = idsOf(rows, found.view)
	s.board.change(func() {
		s.board.report.Rows, s.board.progress = rows, recover.ProgressOf(rows)
		s.board.report.StorageThere = found.view.ListsAny()
		s.board.setNow(nowOfRows(rows, found.view))
	})
	return rows, nil
}

// judge says how the last run ended, by its marker.
func (s *Service) judge(last *recover.Marker) (recover.Verdict, error) {
	v := recover.Judge(last, s.identity)
	if v.Ending == recover.StillRunning {
		return v, fmt.Errorf("%w: %s", ErrAlreadyRunning, v.Reason)
	}
	alive, err := s.world.Store.LastAlive()
	if err == nil {
		v = v.Until(alive)
	}
	s.board.change(func() {
		s.board.clockNotSet = alive.BootID != s.identity.BootID && time.Now().Before(alive.Time)
		s.board.report = recover.Report{BootID: s.identity.BootID, Mode: s.policy.Mode, Verdict: v, Started: time.Now(),
			Rows: []recover.Row{}, Notes: s.board.report.Notes}
	})
	return v, nil
}

// explain asks the journal for the verdict's cause, in the background: the journal
// may be slow, and decides nothing but whether there are suspects. explained, which has
// room for it, gets the verdict with its cause.
func (s *Service) explain(ctx context.Context, verdict recover.Verdict, explained chan<- recover.Verdict) {
	s.background.Go(func() {
		v := verdict.Explain(ctx, s.world.Journal, s.identity)
		logVerdict(s.world.Log, v)
		s.board.change(func() { s.board.report.Verdict = v })
		explained <- v
		s.history.save()
	})
}

// loadSnapshot returns the last good snapshot, nil without one.
func (s *Service) loadSnapshot() *recover.Snapshot {
	snapshot, err := s.world.Store.Snapshot()
	switch {
	case err == nil:
		s.board.showSet(snapshot)
		return &snapshot
	case !errors.Is(err, recover.ErrNone):
		s.board.note(stateDamaged,
			"no snapshot can be read: what was running is not known, only the clean-boot list is started", err)
	}
	return nil
}

// idsOf are podman's IDs of the containers whose unit podman generated.
func idsOf(rows []recover.Row, view recover.View) map[string]string {
	ids := map[string]string{}
	for _, row := range rows {
		if now, known := view.Sighting(row.Name); known && row.Generated {
			ids[row.Name] = now.ID
		}
	}
	return ids
}

// withoutOverJobs are the candidates without the jobs that have ended: by the journal,
// or since their unit failed in this boot.
func withoutOverJobs(
	candidates []recover.Container, view recover.View, resolved map[string]recover.Resolution,
) []recover.Container {
	return slices.DeleteFunc(slices.Clone(candidates), func(c recover.Container) bool {
		how := resolved[c.Name]
		over := how.State.Active == "failed" || view.Dead[c.Name] && !how.State.Returning()
		return (c.Job || how.Job) && !view.Active(c.Name) && over
	})
}

// beingStopped names the containers whose units something else stops now: a start of what
// needs one of them would undo that.
func beingStopped(resolved map[string]recover.Resolution) (names []string) {
	for name, how := range resolved {
		if how.State.Job == "stop" {
			names = append(names, name)
		}
	}
	return names
}

// plan lays out the rows: what is held back, which unit starts each container, and
// in which order.
func (s *Service) plan(ctx context.Context, found findings, suspects recover.Quarantine) []recover.Row {
	holds := recover.Holds{Quarantine: suspects}
	stopped, err := s.world.Store.UserStopped()
	holds.UserStopped = s.suspects.byUser(stopped)
	if holds.UserStoppedLost = err != nil; holds.UserStoppedLost {
		s.board.note(stateDamaged,
			"nothing is started: the user-stopped list is lost. Write the names, or [], to it and restart", err)
	}
	var resolved map[string]recover.Resolution
	if !holds.UserStoppedLost && s.policy.Mode != recover.ModeOff {
		var host survey.Host
		host, s.configs = s.world.host().AskOnce()
		var generated survey.Generated
		resolved, generated = host.Find(ctx, found.candidates, found.view)
		found.candidates = withoutOverJobs(found.candidates, found.view, resolved)
		installed := make(chan error, 1)
		go func() { installed <- generated.Install(ctx) }() // systemd reads them while podman tells the order
		holds.Needs = s.order(ctx, host, found, resolved)
		generated.Settle(resolved, <-installed)
		starts := survey.Starts{Resolved: resolved, View: found.view,
			Stopped: slices.Concat(holds.UserStopped, beingStopped(resolved))}
		if err := host.Tie(ctx, &holds, starts); err != nil {
			s.board.note(impaired, survey.TiesUnknown, err)
		} else {
			s.tied = &holds.UserStopped
		}
	}
	return recover.MakePlan(found.candidates, holds, found.view, resolved, s.policy)
}

// order is what each container waits for before its start. Cycles are told, and ignored.
func (s *Service) order(
	ctx context.Context, host survey.Host, found findings, resolved map[string]recover.Resolution,
) map[string][]recover.Need {
	needs, cycles, err := host.Order(ctx, found.candidates, resolved, found.view)
	if err != nil {
		s.board.note(impaired, survey.OrderUnknown, err)
	}
	for _, note := range cycles {
		s.world.Log.Warn(note, "MESSAGE_ID", recover.MsgImpaired)
		s.board.addNote(note)
	}
	return needs
}
