package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
	"archy-recovery/internal/recover/survey"
)

// afterCleanStop finds the candidates after a stop in order, or before the first
// run: with a snapshot of this very boot none (the service was restarted), else
// those of the policy.
func (s *Service) afterCleanStop(ctx context.Context, v recover.Verdict, snapshot *recover.Snapshot) findings {
	restarted := snapshot != nil && snapshot.Of(s.identity)
	if restarted {
		s.board.change(func() { s.board.restarted = true })
		s.marker.write() // at once: containers run
	}
	host := s.world.host()
	listed := host.List(ctx)
	var want []recover.Container // all
	if recover.UsesSnapshot(v, snapshot, s.policy) {
		if !restarted { // the last look may have been before the last change
			snapshot.Containers = updater{s.world, s.board}.replay(ctx, snapshot, nil).set
		}
		want = snapshot.Containers
	}
	view := host.NamedUnits(ctx, want)
	names := slices.Concat(knownNames(snapshot), s.cleanBootNames())
	answer := <-listed
	byList := want == nil && !restarted && len(s.policy.CleanBootList) > 0
	for range listAgain {
		if !byList || answer.Err == nil || survey.NotInTime(answer.Err) || ctx.Err() != nil {
			break
		}
		engine.Sleep(ctx, askAgain)
		answer = <-host.List(ctx)
	}
	host.TakeList(ctx, &view, answer, names)
	if byList && view.PodmanErr != nil { // of one container it may tell
		host.AskOthers(ctx, &view, named(s.cleanBootNames()))
	}
	s.noteUnanswered(view)
	if restarted {
		return findings{s.unrecovered(snapshot), view}
	}
	candidates := recover.Candidates(v, snapshot, view, s.policy)
	for _, c := range candidates {
		s.unsure[c.Name] = byList && view.Unanswered[c.Name]
	}
	userStopped, _ := s.world.Store.UserStopped() // the plan notes the error
	for _, c := range recover.LeftDown(snapshot, candidates, userStopped, s.policy) {
		s.leftDown.containers = append(s.leftDown.containers, view.Update(c))
	}
	s.beginClean(snapshot, candidates, view)
	return findings{candidates, view}
}

// listAgain is how often podman's list is asked for again if it fails. After a clean stop
// nothing else says which containers of the clean-boot list exist.
const listAgain = 2

// named are containers of which only the names are known.
func named(names []string) (containers []recover.Container) {
	for _, name := range names {
		containers = append(containers, recover.Container{Name: name})
	}
	return containers
}

// afterServiceCrash finds the candidates after a crash in the boot that the
// snapshot is of: containers may run, and some of them may be ending.
// unsaved are the boots to replay.
func (s *Service) afterServiceCrash(
	ctx context.Context, v recover.Verdict, snapshot *recover.Snapshot, unsaved []string,
) findings {
	host := s.world.host()
	listed := host.List(ctx)
	view := host.NamedUnits(ctx, snapshot.Containers)
	// In this order: of what dies while podman lists, the journal knows.
	answer := <-listed
	host.TakeList(ctx, &view, answer, survey.Names(snapshot.Containers))
	update := updater{s.world, s.board}
	s.replayed = s.world.Journal.Now()
	now := update.replay(ctx, snapshot, unsaved)
	if survey.NotInTime(answer.Err) { // podman was asked of the members alone, and there are new ones
		host.AskOthers(ctx, &view, now.set)
	}
	host.CheckDead(ctx, &view, now.dead)
	snapshot.Containers = update.correct(ctx, now, view)
	for _, c := range snapshot.Containers {
		s.doubtful[c.Name] = doubtful(c, now.dead, view)
	}
	host.Include(ctx, &view, snapshot.Containers) // it has members now that it had not
	s.noteUnanswered(view)
	return findings{recover.Candidates(v, snapshot, view, s.policy), view}
}

// afterHostCrash finds the candidates after a crash of the host, or without a
// snapshot of this boot: nothing of the snapshot runs. The journal is read side by
// side with the questions to podman and systemd. unsaved are the boots to replay. explain
// asks for the cause.
func (s *Service) afterHostCrash(
	ctx context.Context, v recover.Verdict, snapshot *recover.Snapshot, unsaved []string, explain func(),
) findings {
	host := s.world.host()
	replaying := make(chan replayed, 1)
	go func() { replaying <- updater{s.world, s.board}.replay(ctx, snapshot, unsaved) }()
	var listed <-chan survey.List
	if s.needsPodman(snapshot) {
		listed = host.List(ctx)
	}
	var want []recover.Container // all
	if snapshot != nil {
		want = snapshot.Containers
	}
	s.release = s.world.Systemd.KeepLoaded(ctx, survey.Units(want))
	view := host.NamedUnits(ctx, want)
	now := <-replaying
	explain() // not before: the first start waits for the replay, and both read the journal
	if listed == nil && !view.Covers(now.set) {
		listed = host.List(ctx)
	}
	if listed != nil {
		host.TakeList(ctx, &view, <-listed, slices.Concat(survey.Names(now.set), s.cleanBootNames()))
	}
	if snapshot != nil {
		snapshot.Containers = now.set
		host.Include(ctx, &view, now.set) // it has members now that the snapshot has not
	}
	s.noteUnanswered(view)
	return findings{recover.Candidates(v, snapshot, view, s.policy), view}
}

// knownNames are the names of a snapshot's containers.
func knownNames(snapshot *recover.Snapshot) []string {
	if snapshot == nil {
		return nil
	}
	return survey.Names(snapshot.Containers)
}

// cleanBootNames are the names on the clean-boot list. Its patterns are no names.
func (s *Service) cleanBootNames() []string {
	return slices.DeleteFunc(slices.Clone([]string(s.policy.CleanBootList)), func(name string) bool {
		return recover.CheckName(name) != nil
	})
}

// needsPodman reports whether the plan after a crash of the host depends on what
// podman lists, as far as that is known before the units are. After a boot podman
// takes a while for its first answer, and CPU from the starts, and shows nothing of
// containers that units run: nothing runs yet. It is asked when recovery is complete.
func (s *Service) needsPodman(snapshot *recover.Snapshot) bool {
	if s.world.PodmanFirst || snapshot == nil || snapshot.BootID == "" {
		return true
	}
	if slices.ContainsFunc(snapshot.Containers, func(c recover.Container) bool { return c.Unit == "" }) {
		return true
	}
	book, err := s.world.Store.Quarantine() // only podman can tell whether one in quarantine has changed
	return err != nil || len(book.Suspects.Held()) > 0
}

// noteUnanswered notes which half of a view is unknown.
func (s *Service) noteUnanswered(view recover.View) {
	var storage *engine.NotMounted
	switch {
	case errors.As(view.PodmanErr, &storage):
		s.board.note(impaired, "podman's storage is not mounted, so podman is not asked, and no container is started. "+
			"Mount it: then recovery goes on", storage)
	case view.PodmanErr != nil:
		s.board.note(impaired, "podman does not answer; containers with units are recovered without it", view.PodmanErr)
	}
	if len(view.Unanswered) > 0 && view.PodmanErr == nil {
		names := some(slices.Collect(maps.Keys(view.Unanswered)))
		s.board.note(impaired, "podman is stuck with some containers; the others are recovered without them",
			fmt.Errorf("it did not answer within %s for %s", survey.AnswerWithin, names))
	}
	if view.SystemdErr != nil {
		s.board.note(impaired, "the units that run containers cannot be listed", view.SystemdErr)
	}
}

// beginClean opens a run after a clean stop. What is going to run replaces the
// snapshot of the run before, and only then the marker is set: a crash from
// here on brings back what this boot was to run, not what the last one did.
func (s *Service) beginClean(snapshot *recover.Snapshot, candidates []recover.Container, view recover.View) {
	if snapshot == nil || s.policy.CleanBoot != recover.CleanBootRestore {
		begin := recover.Snapshot{Timestamp: time.Now().Unix(), Containers: view.WithRunning(candidates),
			BootID: s.identity.BootID, SoftReboots: s.identity.SoftReboots, Monotonic: s.world.Journal.Now(),
			GraphRoot: s.world.storage.where()}
		if err := s.world.Store.SaveSnapshot(begin); err != nil {
			s.board.note(stateDamaged, "the snapshot of the last run cannot be replaced", err)
		} else {
			s.board.showSet(begin)
		}
	}
	s.marker.write()
}
