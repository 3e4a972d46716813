package daemon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"archy-recovery/internal/recover"
)

// soonParole is when a container is tried that nothing speaks against but chance: as
// soon as the power can be taken for steady.
const soonParole = 5 * time.Minute

// A parole tries quarantined containers again, after READY, when the host has lived
// for a while: alone, and once each time.
type parole struct {
	suspects *suspects
	starter  *starter
	policy   recover.Policy
	history  *history
	hold     *hold
	// ready is since when the host lives: since READY, or since the boot if an earlier run
	// of the service has begun in it.
	ready time.Time
	// tried is when each was tried in this run, or could not be.
	tried map[string]time.Time
}

// run tries what is due, until nothing is any more.
func (p *parole) run(ctx context.Context) {
	p.tried = map[string]time.Time{}
	marks := []time.Duration{recover.HostLives, recover.SuspicionEnds}
	for {
		suspect, due := p.suspects.nextTry(p)
		var try <-chan time.Time
		if !due.IsZero() {
			timer := time.NewTimer(time.Until(due))
			defer timer.Stop()
			try = timer.C
		} else if len(marks) == 0 {
			return
		}
		var lived <-chan time.Time
		if len(marks) > 0 {
			timer := time.NewTimer(time.Until(p.ready.Add(marks[0])))
			defer timer.Stop()
			lived = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-lived:
			p.suspects.hostLived(marks[0])
			marks = marks[1:]
		case <-try:
			p.tried[suspect.Name] = time.Now()
			p.try(ctx, suspect)
		}
	}
}

// due is when a suspect is tried next, zero if it is not.
func (p *parole) due(s recover.Suspect, userStopped []string) time.Time {
	times := p.policy.Parole
	if !s.Quarantined || s.Named || len(times) == 0 || p.policy.Mode != recover.ModeNormal ||
		slices.Contains(userStopped, s.Name) {
		return time.Time{}
	}
	since, again := p.tried[s.Name]
	if !again {
		since = p.ready
	}
	n := s.Paroles
	if !s.Evidence || s.Case == "" {
		if n == 0 && !again {
			return since.Add(min(soonParole, times[0]))
		}
		n = max(0, n-1)
	}
	return since.Add(times[min(n, len(times)-1)])
}

// try starts a container alone. Once it has lived through its soak it is let go.
func (p *parole) try(ctx context.Context, suspect recover.Suspect) {
	if p.hold.wait(ctx); ctx.Err() != nil {
		return
	}
	select {
	case <-p.suspects.flight.Empty():
	case <-ctx.Done():
		return
	}
	together := p.suspects.beginTry(suspect)
	if len(together) == 0 {
		return
	}
	log := p.starter.world.Log
	log.Warn("started on parole: the host has lived without it", "MESSAGE_ID", recover.MsgProbation,
		"container", suspect.Name, "strikes", suspect.Strikes)
	p.suspects.flight.Add(together...)
	for _, name := range together {
		if err := p.start(ctx, name); err != nil {
			log.Warn("it could not be started on parole", "MESSAGE_ID", recover.MsgProbation, "container", name, "reason", err)
		}
		p.suspects.flight.Soak(name, p.policy.Soak)
	}
	select {
	case <-p.suspects.flight.Without(together...):
	case <-ctx.Done():
		return
	}
	for _, name := range together {
		now, err := p.starter.world.Podman.Inspect(ctx, name)
		if err == nil && now.Running() && p.suspects.lived(name) {
			p.suspects.board.paroled(name)
			p.history.amended()
		}
	}
}

// start starts one, as recovery would have.
func (p *parole) start(ctx context.Context, name string) error {
	status, _ := p.suspects.board.status()
	row := recover.Row{Name: name}
	if i := recover.IndexRow(status.Recovery.Rows, name); i >= 0 {
		row = status.Recovery.Rows[i]
	}
	ctx, cancel := context.WithTimeout(ctx, p.policy.SecondAttempt)
	defer cancel()
	outcome, err := p.starter.Start(ctx, row)
	if err == nil && outcome.Active != "active" {
		err = fmt.Errorf("start job: %s; unit %s", outcome.Job, outcome.Active)
	}
	return err
}

// nextTry is the suspect that is tried next, and when. It tells when each is.
func (s *suspects) nextTry(p *parole) (next recover.Suspect, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stopped, err := s.world.Store.UserStopped()
	if err != nil {
		return next, at // it is not known whether the user wants it
	}
	book := s.board.currentBook()
	byUser := s.byUser(stopped)
	s.dates = map[string]dates{}
	for _, suspect := range book.Suspects {
		due := p.due(suspect, byUser)
		if !due.IsZero() && (at.IsZero() || due.Before(at)) {
			next, at = suspect, due
		}
		known := dates{try: due}
		if suspect.EndsWithLife() {
			known.ends = p.ready.Add(recover.SuspicionEnds)
		}
		s.dates[suspect.Name] = known
	}
	if now := s.dated(book.Suspects); !slices.Equal(now, book.Suspects) {
		book.Suspects = now
		_ = s.change(book) // it is tried again at the next look
	}
	return next, at
}

// dates are when a suspect is tried next, and when suspicion of it ends; zero for never.
type dates struct{ try, ends time.Time }

// undated are the suspects without dates: these count from a READY that is yet to come.
func undated(all recover.Quarantine) recover.Quarantine {
	all = slices.Clone(all)
	for i := range all {
		all[i].NextTry, all[i].Ends = time.Time{}, time.Time{}
	}
	return all
}

// dated are the suspects with their dates by the wall clock, which may have been set since.
func (s *suspects) dated(all recover.Quarantine) recover.Quarantine {
	date := func(shown, due time.Time) time.Time {
		if due.IsZero() {
			return due
		}
		due = time.Now().Add(time.Until(due)).Round(time.Second)
		if due.Sub(shown).Abs() < clockStep {
			return shown
		}
		return due
	}
	for _, suspect := range all {
		if known, found := s.dates[suspect.Name]; found {
			suspect.NextTry, suspect.Ends = date(suspect.NextTry, known.try), date(suspect.Ends, known.ends)
			all = all.With(suspect)
		}
	}
	return all
}

// beginTry writes down that a suspect is tried, with those that start with it. It
// returns none if it is not to be tried after all.
func (s *suspects) beginTry(suspect recover.Suspect) (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	book := s.board.currentBook()
	stopped, err := s.world.Store.UserStopped()
	if err != nil {
		return nil
	}
	byUser := s.byUser(stopped)
	for _, other := range book.Suspects.Held() {
		if other.Name != suspect.Name && (other.Case == "" || other.Case != suspect.Case) {
			continue
		}
		if slices.Contains(byUser, other.Name) {
			return nil
		}
		other.Paroles++
		book.Suspects = book.Suspects.With(other)
		names = append(names, other.Name)
	}
	if s.change(book) != nil {
		return nil // without that it would be tried at each boot
	}
	return names
}

const clearParole clearance = "released from quarantine: it was started on parole, and the host lives"

// lived lets a container go that has lived through its soak on parole.
func (s *suspects) lived(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	suspect, known := s.board.currentSuspects().Find(name)
	return known && suspect.Quarantined && s.leave(suspect, clearParole, s.countSoak) == nil
}

// hostLived notes how long the host has lived.
func (s *suspects) hostLived(since time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.board.currentBook()
	if now := before.HostLived(since); !now.Same(before) {
		var gone []string
		for _, suspect := range before.Suspects {
			if _, still := now.Suspects.Find(suspect.Name); !still {
				gone = append(gone, suspect.Name)
			}
		}
		if len(gone) > 0 {
			s.world.Log.Info("no longer suspected: the host lives", "MESSAGE_ID", recover.MsgReleased, "container", some(gone))
		}
		_ = s.change(now) // it is tried again at the next look
	}
}

// paroled shows a container that was let go as one that runs.
func (b *board) paroled(name string) {
	b.change(func() {
		b.showRunning(func(row recover.Row) bool {
			return row.Name == name && row.State == recover.RowQuarantined
		}, recover.RowUp, "")
		b.setNow(map[string]recover.NowState{name: recover.NowRunning})
	})
}
