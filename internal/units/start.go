package units

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// jobCheckDelay is the time until a job is asked what it waits for. Each further question waits longer.
// Most jobs end before the first, and cost no further call.
const jobCheckDelay = 500 * time.Millisecond

// signalDelay is how long the signal of a job's end may come after systemd has said that there is no such
// job. The bus keeps their order, but this process reads answers and signals side by side, and on a busy
// host each waits for a CPU.
const signalDelay = 2 * time.Second

// Start starts a unit and waits for the end of its job (Manager.StartUnit, Manager.JobRemoved). Then it
// reads the state of the unit: a job with the result "done" may be one whose condition was not met.
//
// Its errors wrap recover.ErrOrderedAfterUs, ErrGoingDown, ErrMasked or ErrNoBus, or are that of ctx. When
// ctx ends, the job goes on: a container that is slow to become ready is not killed, and a later Start
// shares its job.
//
// The units in without are left out (startWithout).
func (m *Manager) Start(ctx context.Context, unit string, without ...string) (recover.Outcome, error) {
	if err := checkUnit(unit); err != nil {
		return recover.Outcome{}, err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return recover.Outcome{}, err
	}
	if len(without) > 0 {
		return startWithout(ctx, m, l, unit, without)
	}
	return m.startAs(ctx, l, unit, "replace")
}

// StartAgain is Start in the job mode "fail": a job of somebody else that conflicts, such as a stop, is not
// cancelled. The error is then recover.ErrConflict. With units to leave out, or without the order after the network,
// systemd has no such mode.
func (m *Manager) StartAgain(ctx context.Context, unit string, without ...string) (recover.Outcome, error) {
	if len(without) > 0 {
		return m.Start(ctx, unit, without...)
	}
	if err := checkUnit(unit); err != nil {
		return recover.Outcome{}, err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return recover.Outcome{}, err
	}
	o, err := m.startAs(ctx, l, unit, "fail")
	if errors.Is(err, recover.ErrGoingDown) { // in this mode each conflicting job is called destructive
		if down, asked := l.stopping(ctx); asked == nil && !down {
			err = fmt.Errorf("%w: %s", recover.ErrConflict, unit)
		}
	}
	return o, err
}

// startAs is Start in a job mode (Manager.StartUnit).
func (m *Manager) startAs(ctx context.Context, l *link, unit, mode string) (recover.Outcome, error) {
	e := m.aboutEnd(ctx, l, unit)
	defer e.release()
	l.beginCall()
	var job dbus.ObjectPath
	err := l.call(ctx, managerPath, managerIfc+".StartUnit", unit, mode).Store(&job)
	end, forget := l.endCall(job)
	if err != nil {
		return recover.Outcome{}, fmt.Errorf("cannot start %s: %w", unit, l.explain(err))
	}
	defer forget()

	pause := jobCheckDelay
	check := time.NewTimer(pause)
	defer check.Stop()
	for {
		select {
		case result := <-end:
			return e.outcome(ctx, result)
		case <-check.C:
			switch waits, err := l.waitsFor(ctx, job, m.ownUnit); {
			case waits:
				return recover.Outcome{}, recover.ErrOrderedAfterUs
			case isUnknownObject(err):
				// The job has ended. Its signal was lost while systemd was off the bus (systemctl
				// daemon-reexec), or another goroutine has yet to pass it on.
				select {
				case result := <-end:
					return e.outcome(ctx, result)
				case <-time.After(signalDelay):
					return e.outcome(ctx, "lost")
				case <-ctx.Done():
					return recover.Outcome{}, ctx.Err()
				}
			}
			pause *= 4
			check.Reset(pause)
		case <-l.conn.Context().Done():
			return recover.Outcome{}, fmt.Errorf("%w: it ended during the start of %s", recover.ErrNoBus, unit)
		case <-ctx.Done():
			return recover.Outcome{}, ctx.Err()
		}
	}
}

// waitsFor reports whether a job waits for a job of one of the units, directly or through other jobs. That of
// this process ends only after READY=1. The error is that of the first question, for the job itself.
// Job.GetBefore lists the jobs that must end before a job runs. GetAfter is the other direction (seen
// with systemd 257).
func (l *link) waitsFor(ctx context.Context, job dbus.ObjectPath, units ...string) (bool, error) {
	type listedJob struct {
		ID          uint32
		Unit, Type  string
		State       string
		Job, UnitAt dbus.ObjectPath
	}
	seen := map[dbus.ObjectPath]bool{job: true}
	for todo := []dbus.ObjectPath{job}; len(todo) > 0; todo = todo[1:] {
		var before []listedJob
		err := l.call(ctx, todo[0], jobIfc+".GetBefore").Store(&before)
		if err != nil && todo[0] == job {
			return false, err
		}
		for _, other := range before {
			if slices.Contains(units, other.Unit) {
				return true, nil
			}
			if !seen[other.Job] {
				seen[other.Job] = true
				todo = append(todo, other.Job)
			}
		}
	}
	return false, nil
}

// isUnknownObject reports whether a call failed since its object does not exist.
func isUnknownObject(err error) bool {
	var answer dbus.Error
	return errors.As(err, &answer) && answer.Name == "org.freedesktop.DBus.Error.UnknownObject"
}

// checkUnit returns an error for a string that is not the name of a service, socket or path unit
// (systemd.unit(5), "Valid unit names"). A template, NAME@.service, is an error too: it would fail a call
// for all units in it.
func checkUnit(unit string) error {
	const allowed = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:_.\\@-"
	suffix := path.Ext(unit)
	ok := slices.Contains([]string{".service", ".socket", ".path"}, suffix)
	prefix := strings.TrimSuffix(unit, suffix)
	invalid := func(r rune) bool { return !strings.ContainsRune(allowed, r) }
	if !ok || prefix == "" || prefix[0] == '@' || strings.HasSuffix(prefix, "@") || len(unit) > 255 ||
		strings.ContainsFunc(prefix, invalid) {
		return fmt.Errorf("%q is not the name of a service, socket or path unit", unit)
	}
	return nil
}
