package recover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// assess finds out how the last run ended and plans what to start. From the
// moment the old marker is replaced until a clean stop there is a marker: a
// crash in the middle of recovery is a crash, and the snapshot that recovery
// works from is not touched before READY.
func (s *Service) assess(ctx context.Context) ([]Row, error) {
	verdict, err := s.judge()
	if err != nil {
		return nil, err
	}
	// Beside all that follows: the journal may be slow, and decides nothing but
	// whether there are suspects.
	running := ctx
	explained := make(chan Verdict, 1)
	s.beside.Go(func() {
		v := verdict.explain(running, s.Journal, s.identity)
		logVerdict(s.Log, v)
		s.change(func() { s.report.Verdict = v })
		explained <- v
		s.remember()
	})
	ctx, cancel := context.WithTimeout(ctx, assessWithin)
	defer cancel()
	snapshot := s.loadSnapshot()
	restarted := !verdict.Unclean() && snapshot != nil && snapshot.Of(s.identity)
	if restarted {
		s.change(func() { s.restarted = true })
		s.mark() // at once: containers run
	}
	replaying := make(chan replayed, 1)
	replay := func() { replaying <- s.replay(ctx, verdict, snapshot) }
	here := verdict.Unclean() && snapshot != nil && (verdict.Ending == ServiceCrashed || snapshot.Of(s.identity))
	if !here {
		go replay()
	}
	var want []Container // all
	if usesSnapshot(verdict, snapshot, s.policy) {
		want = snapshot.Containers
	}
	var listed <-chan list
	if s.needsPodman(verdict, snapshot) {
		listed = listing(ctx, s.Podman)
	}
	var view View
	view.lookForUnits(ctx, s.Systemd, want)
	if here {
		// In this order: of who dies while podman lists, the journal knows.
		view.take(<-listed)
		replay()
	}
	since := <-replaying
	if here {
		view.heed(ctx, since.dead, s.Podman)
		s.noteUnanswered(view.PodmanErr)
		listed = nil
	} else if listed == nil && !view.covers(since.set) {
		listed = listing(ctx, s.Podman)
	}
	if listed != nil {
		view.take(<-listed)
		s.noteUnanswered(view.PodmanErr)
	}
	if snapshot != nil {
		snapshot.Containers = since.set
		if here {
			snapshot.Containers = s.settle(ctx, since.before, since.set, view)
		}
		if verdict.Unclean() {
			view.Include(ctx, s.Systemd, snapshot.Containers) // it has members now that the snapshot has not
		}
	}
	if view.SystemdErr != nil {
		s.impaired("the units that run containers cannot be listed", view.SystemdErr)
	}
	var candidates []Container
	if !restarted {
		candidates = Candidates(verdict, snapshot, view, s.policy)
	}
	if !verdict.Unclean() && !restarted {
		s.beginClean(snapshot, candidates, view)
	}

	if s.policy.Mode != ModeNormal {
		s.addNote(fmt.Sprintf("%s=%s is on the kernel command line", CommandLineKey, s.policy.Mode))
		s.Log.Warn("the kernel command line asks for another mode", "MESSAGE_ID", MsgMode, "mode", string(s.policy.Mode))
	}
	holds := Holds{Quarantine: s.judgeSuspects(ctx, verdict, explained, view)}
	stopped, err := s.Store.UserStopped()
	holds.UserStopped = s.byOthers(stopped, holds.Quarantine)
	if holds.UserStoppedLost = err != nil; holds.UserStoppedLost {
		s.note("nothing is started: who stopped what is not known. Write the names, or [], to the user-stopped list and restart", err)
	}
	var resolved map[string]Resolution
	if !holds.UserStoppedLost && s.policy.Mode != ModeOff {
		resolved = Resolve(ctx, candidates, view, s.Podman, s.Systemd)
		holds.Pulls = s.pulls(ctx, resolved, holds.Quarantine)
	}
	rows := MakePlan(candidates, holds, view, resolved, s.policy)
	s.change(func() { s.report.Rows, s.tally = rows, tallyOf(rows) })
	return rows, nil
}

// needsPodman reports whether the plan depends on what podman lists, as far as
// that is known before the units are. After a boot podman takes a while for its
// first answer, and the CPU from those that start, and tells nothing of containers
// that units run: nothing runs yet. It is asked when recovery is complete.
func (s *Service) needsPodman(v Verdict, snapshot *Snapshot) bool {
	if s.PodmanFirst || !v.Unclean() || v.Ending == ServiceCrashed || snapshot == nil || snapshot.BootID == "" || snapshot.Of(s.identity) {
		return true
	}
	if slices.ContainsFunc(snapshot.Containers, func(c Container) bool { return c.Unit == "" }) {
		return true
	}
	suspects, err := s.Store.Quarantine() // whether one has changed is for podman to tell
	return err != nil || len(suspects) > 0
}

// noteUnanswered notes that podman gave no list.
func (s *Service) noteUnanswered(err error) {
	if err != nil {
		s.impaired("podman does not answer; containers with units are recovered without it", err)
	}
}

// impaired notes what podman, systemd or the journal could not be asked. It is
// no fault of our files, which note is about.
func (s *Service) impaired(text string, err error) {
	s.Log.Warn(text, "MESSAGE_ID", MsgImpaired, "error", err)
	s.addNote(fmt.Sprintf("%s: %v", text, err))
}

// pulls asks who would bring a suspect along, where there are any.
func (s *Service) pulls(ctx context.Context, resolved map[string]Resolution, q Quarantine) map[string][]string {
	if len(q) == 0 {
		return nil
	}
	var units []string
	for _, r := range resolved {
		if r.Unit != "" {
			units = append(units, r.Unit)
		}
	}
	pulls, err := s.Systemd.Pulls(ctx, units)
	if err != nil {
		s.impaired("who would start a suspect along is not known", err)
	}
	return pulls
}

// judge reads the last run's marker and, when that ended badly, puts ours in
// its place at once.
func (s *Service) judge() (Verdict, error) {
	v := Judge(s.Store.Marker(), s.identity)
	if v.Ending == StillRunning {
		return v, fmt.Errorf("%w: %s", ErrAlreadyRunning, v.Reason)
	}
	s.change(func() {
		s.report = Report{BootID: s.identity.BootID, Mode: s.policy.Mode, Verdict: v, Started: time.Now(), Rows: []Row{}, Notes: s.report.Notes}
	})
	if v.Unclean() {
		s.mark()
	}
	return v, nil
}

// mark writes our marker. Where that fails (a full or read-only disk) recovery
// goes on: an old marker then stays in place, and still means a crash.
func (s *Service) mark() {
	if err := s.Store.WriteMarker(s.identity); err != nil {
		s.note("no marker written: should the host crash now, the next boot may not notice", err)
		s.keeping.Lock()
		s.unmarked = true
		s.keeping.Unlock()
	}
}

// loadSnapshot returns the last good snapshot, nil without one.
func (s *Service) loadSnapshot() *Snapshot {
	snapshot, err := s.Store.Snapshot()
	switch {
	case err == nil:
		s.change(func() { s.set = snapshot })
		return &snapshot
	case !errors.Is(err, ErrNone):
		s.note("no snapshot can be read: what was running is not known, only the clean-boot list is started", err)
	}
	return nil
}

// A replayed set; who has died in the boot that was replayed last, and was not
// started since; and the set at the beginning of that.
type replayed struct {
	set    []Container
	dead   map[string]bool
	before []Container
}

// replay is the snapshot's set, brought up to date with what the journal has
// of the time after it: of the snapshot's boot, and of that of the last run, which
// is a later one where it did not get as far as READY. A journal that cannot be
// read leaves it as it is.
func (s *Service) replay(ctx context.Context, v Verdict, snapshot *Snapshot) replayed {
	if snapshot == nil {
		return replayed{}
	}
	if !v.Unclean() || snapshot.BootID == "" {
		return replayed{set: snapshot.Containers}
	}
	now := replayed{set: snapshot.Containers}
	read := 0
	more := func(boot string, since time.Duration) {
		events, err := s.Journal.Events(ctx, boot, since)
		if err != nil {
			s.impaired("what happened after the snapshot is not known", err)
		}
		r := newReplay(now.set, events)
		now = replayed{r.set(), r.dead(), now.set}
		read += len(events)
	}
	more(snapshot.BootID, snapshot.Monotonic)
	if v.Previous != nil && v.Previous.BootID != "" && v.Previous.BootID != snapshot.BootID {
		more(v.Previous.BootID, 0)
	}
	s.Log.Info("snapshot brought up to date", "MESSAGE_ID", MsgReplayed,
		"events", read, "before", len(snapshot.Containers), "after", len(now.set))
	return now
}

// settle decides, after a crash in this boot, what a replay can only guess: of a
// unit that has ended whether systemd is about to start it again, and of a
// container without a unit that ended badly, or is about to end, whether someone
// stopped it, which a reboot makes podman forget. before is the set before this
// boot was replayed.
func (s *Service) settle(ctx context.Context, before, replayed []Container, view View) []Container {
	byName := map[string]Container{}
	for _, c := range replayed {
		byName[c.Name] = c
	}
	var units []string // of who left
	var claims []Claim // of who joined: by their labels, which a look would not have believed
	for _, c := range before {
		if _, stayed := byName[c.Name]; !stayed && c.Unit != "" {
			units = append(units, c.Unit)
		}
	}
	for _, c := range replayed {
		if c.Unit != "" && !holds(before, c.Name) {
			claims = append(claims, Claim{c.Unit, c.Name})
		}
	}
	states := map[string]UnitState{}
	if len(units) > 0 {
		states, _ = s.Systemd.States(ctx, units) // without them the guess stands
	}
	believed, err := Believe(ctx, s.Systemd, claims, view.units)
	for _, claim := range claims {
		if err == nil && !believed[claim] {
			c := byName[claim.Container]
			c.Unit = ""
			byName[c.Name] = c
		}
	}
	for _, c := range before {
		if states[c.Unit].returns() {
			byName[c.Name] = c
		}
	}
	for _, c := range slices.Concat(before, slices.Collect(maps.Values(byName))) {
		now := view.sightings[c.Name]
		if c.Unit != "" || !now.failed() && now.State != "stopping" {
			continue
		}
		switch stopped, err := s.Podman.StoppedByUser(ctx, c.Name); {
		case err != nil: // the guess stands
		case stopped:
			delete(byName, c.Name)
		default:
			byName[c.Name] = c
		}
	}
	return Snapshot{Containers: slices.Collect(maps.Values(byName))}.sorted()
}

// beginClean opens a run after a clean stop. What is going to run replaces the
// snapshot of the run before, and only then the marker is set: a crash from
// here on brings back what this boot was to run, not what the last one did.
func (s *Service) beginClean(snapshot *Snapshot, candidates []Container, view View) {
	if snapshot == nil || s.policy.CleanBoot != CleanBootRestore {
		begin := Snapshot{Timestamp: time.Now().Unix(), Containers: view.withRunning(candidates),
			BootID: s.identity.BootID, SoftReboots: s.identity.SoftReboots, Monotonic: s.Journal.Now()}
		if err := s.Store.SaveSnapshot(begin); err != nil {
			s.note("the snapshot of the last run cannot be replaced", err)
		} else {
			s.change(func() { s.set = begin })
		}
	}
	s.mark()
}
