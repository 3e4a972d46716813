package units

import (
	"context"
	"slices"
	"sync"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// StartOffline starts a unit without the order after the network. systemd does not let a drop-in take an order
// away, and a unit with the job mode "ignore-dependencies" has none at all. So this first starts what the unit
// needs and wants, waits for those of them and for other jobs that the unit is ordered after, and then starts the
// unit in that mode (Manager.StartUnit). Nothing is written, and nothing is to be undone.
//
// Units without an order after the network are started as ever. If there are units to leave out, in without, all
// are started in that mode, in which systemd starts nothing along.
func (m *Manager) StartOffline(
	ctx context.Context, unit string, job bool, without ...string,
) (recover.Outcome, error) {
	start := func(ctx context.Context, unit string) (recover.Outcome, error) {
		l, err := m.connect(ctx)
		if err != nil {
			return recover.Outcome{}, err
		}
		// The mode also ignores that a shutdown conflicts with the unit.
		if down, err := l.stopping(ctx); err != nil || down {
			if err == nil {
				err = recover.ErrGoingDown
			}
			return recover.Outcome{}, err
		}
		s := offlineStart{manager: m, link: l, without: without, begun: map[string]bool{unit: true}}
		return s.run(ctx, unit)
	}
	if job {
		return m.startJob(ctx, unit, start)
	}
	if err := checkUnit(unit); err != nil {
		return recover.Outcome{}, err
	}
	return start(ctx, unit)
}

// An offlineStart starts a unit, and before it the units that it needs.
type offlineStart struct {
	manager *Manager
	link    *link
	without []string

	mu    sync.Mutex
	begun map[string]bool // units whose start it has begun
}

// begin reports whether the start of a unit is yet to begin.
func (s *offlineStart) begin(unit string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun[unit] {
		return false
	}
	s.begun[unit] = true
	return true
}

func (s *offlineStart) run(ctx context.Context, unit string) (recover.Outcome, error) {
	p, err := s.link.readPart(ctx, unit)
	if err != nil {
		return recover.Outcome{}, err
	}
	isAfter := func(name string) bool {
		return slices.ContainsFunc(p.after, func(u listedUnit) bool { return u.Name == name })
	}
	var first sync.WaitGroup
	for _, name := range p.starts {
		if slices.Contains(s.without, name) || !s.begin(name) {
			continue
		}
		run := func() { _, _ = s.run(ctx, name) } // its state tells how it went
		if isAfter(name) {
			first.Go(run)
		} else {
			go run()
		}
	}
	first.Wait()
	if !p.ordered && len(s.without) == 0 {
		return s.manager.startAs(ctx, s.link, unit, "replace")
	}
	if ours, err := s.awaitJobs(ctx, p); err != nil || ours {
		if err == nil { // it waits for READY, and for the network
			return s.manager.startAs(ctx, s.link, unit, "replace")
		}
		return recover.Outcome{}, err
	}
	blockers, mounts := s.link.blockers(ctx, p.at)
	blockers = slices.DeleteFunc(blockers, func(name string) bool {
		return !isAfter(name) && !slices.Contains(s.without, name)
	})
	if len(blockers) > 0 {
		o, err := jobEnd{link: s.link, unit: unit}.outcome(ctx, "dependency")
		o.Blockers, o.NotMounted, o.Offline = blockers, mounts, true
		return o, err
	}
	o, err := s.manager.startAs(ctx, s.link, unit, "ignore-dependencies")
	o.Offline = true
	return o, err
}

// awaitJobs waits for the jobs of the units that a unit is ordered after. It leaves out those that wait for the
// network. It reports whether one of them waits for this process.
func (s *offlineStart) awaitJobs(ctx context.Context, p part) (ours bool, err error) {
	names := make([]string, len(p.after))
	for i, u := range p.after {
		names[i] = u.Name
	}
	listed, err := s.link.listByNames(ctx, names)
	if err != nil {
		return false, err
	}
	for _, u := range listed {
		if u.JobPath == "" || u.JobPath == "/" {
			continue
		}
		if u.Name == s.manager.ownUnit {
			return true, nil
		}
		if ours, err := s.link.waitsFor(ctx, u.JobPath, s.manager.ownUnit); err == nil && ours {
			return true, nil
		}
		if late, err := s.link.waitsFor(ctx, u.JobPath, networkTarget, networkWaiter); err == nil && late {
			continue
		}
		if err := s.link.awaitJob(ctx, u.JobPath); err != nil {
			return false, err
		}
	}
	return false, nil
}

// awaitJob returns when a job has ended (Manager.JobRemoved).
func (l *link) awaitJob(ctx context.Context, job dbus.ObjectPath) error {
	l.beginCall()
	end, forget := l.endCall(job)
	defer forget()
	var before []struct {
		ID          uint32
		Unit, Type  string
		State       string
		Job, UnitAt dbus.ObjectPath
	}
	if err := l.call(ctx, job, jobIfc+".GetBefore").Store(&before); isUnknownObject(err) {
		return nil // it ended before this listened
	}
	select {
	case <-end:
		return nil
	case <-l.conn.Context().Done():
		return recover.ErrNoBus
	case <-ctx.Done():
		return ctx.Err()
	}
}
