package units

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// checkAfter is how long a job may be out before it is asked what it waits
// for; then again after ever longer pauses. Most jobs are done by then, and
// cost no further call.
const checkAfter = 500 * time.Millisecond

// Start starts unit and waits until its job has ended, for as long as ctx
// allows; then it reads what the unit says of itself, since a job that is
// "done" may also be one whose condition was not met.
//
// A job that is still out when ctx ends is left alone: a container that is
// slow to become ready is not killed for it, and a later Start joins it.
func (m *Manager) Start(ctx context.Context, unit string) (recover.Outcome, error) {
	if err := checkUnit(unit); err != nil {
		return recover.Outcome{}, err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return recover.Outcome{}, err
	}
	held, release := l.hold(ctx, unit)
	defer release()
	l.begin()
	var job dbus.ObjectPath
	err = l.call(ctx, managerPath, managerIfc+".StartUnit", unit, "replace").Store(&job)
	end, forget := l.expect(job)
	if err != nil {
		return recover.Outcome{}, fmt.Errorf("cannot start %s: %w", unit, l.explain(err))
	}
	defer forget()

	pause := checkAfter
	check := time.NewTimer(pause)
	defer check.Stop()
	for {
		select {
		case result := <-end:
			return m.outcome(ctx, l, unit, result, held)
		case <-check.C:
			switch waits, err := m.waitsForUs(ctx, l, job); {
			case waits:
				return recover.Outcome{}, recover.ErrOrderedAfterUs
			case isGone(err):
				// Its end was said while systemd was off the bus (systemctl
				// daemon-reexec) and went unheard; or it is in end by now.
				select {
				case result := <-end:
					return m.outcome(ctx, l, unit, result, held)
				default:
					return m.outcome(ctx, l, unit, "lost", held)
				}
			}
			pause *= 4
			check.Reset(pause)
		case <-l.conn.Context().Done():
			return recover.Outcome{}, fmt.Errorf("%w: it was lost while %s was being started", recover.ErrNoBus, unit)
		case <-ctx.Done():
			return recover.Outcome{}, ctx.Err()
		}
	}
}

// hold has systemd keep a unit with conditions in memory until release. One that
// is over at once, as a unit that only starts its container is, may be forgotten
// before it was asked how that went; loaded anew it says that no condition was
// met, as systemd 252 was seen to. Where there are none that does not matter, and
// PID 1 is spared the four calls to the bus that a client's hold costs it.
// (Unit.Conditions, Manager.RefUnit)
func (l *link) hold(ctx context.Context, unit string) (held bool, release func()) {
	var conditions []condition
	v, err := l.get(ctx, pathOf(unit), unitIfc, "Conditions")
	if err == nil {
		err = v.Store(&conditions)
	}
	if err == nil && len(conditions) == 0 {
		return false, func() {}
	}
	if l.call(ctx, managerPath, managerIfc+".RefUnit", unit).Err != nil {
		return false, func() {}
	}
	return true, func() {
		// Not waited for: should it get lost, the end of the connection does it.
		l.conn.Object(systemd, managerPath).Go(managerIfc+".UnrefUnit", dbus.FlagNoReplyExpected, nil, unit)
	}
}

// condition is the (sbbsi) of Unit.Conditions.
type condition struct {
	Type             string
	Trigger, Negated bool
	Parameter        string
	State            int32
}

// outcome reads the unit after its job has ended.
func (m *Manager) outcome(ctx context.Context, l *link, unit, result string, held bool) (recover.Outcome, error) {
	o := recover.Outcome{Job: result}
	listed, err := m.listByNames(ctx, []string{unit})
	if err != nil {
		return o, err
	}
	u := listed[unit]
	o.UnitState = recover.UnitState{Loaded: u.Load == "loaded", Active: u.Active, Sub: u.Sub}
	if o.Active == "active" {
		return o, nil
	}
	// Why not? What cannot be read stays empty: the state above says enough.
	o.Result, _ = l.getString(ctx, u.Path, serviceIfc, "Result")
	if v, err := l.get(ctx, u.Path, serviceIfc, "ExecMainStatus"); err == nil {
		status, _ := v.Value().(int32)
		o.ExitStatus = int(status)
	}
	if result == "dependency" {
		o.Blockers, o.NotMounted = m.blockers(ctx, l, u.Path)
	}
	if result == "done" && o.Active == "inactive" && held {
		if v, err := l.get(ctx, u.Path, unitIfc, "ConditionResult"); err == nil {
			met, ok := v.Value().(bool)
			o.ConditionFailed = ok && !met
		}
	}
	return o, nil
}

// waitsForUs reports whether job, directly or through other jobs, waits for
// our own start job, which ends only after we say READY=1. The error is that of
// asking job itself. (Job.GetBefore: the jobs that have to end before this one
// runs; GetAfter is the other direction, seen on systemd 257)
func (m *Manager) waitsForUs(ctx context.Context, l *link, job dbus.ObjectPath) (bool, error) {
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
			if other.Unit == m.ownUnit {
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

// isGone: the object of a call is there no longer.
func isGone(err error) bool {
	var answer dbus.Error
	return errors.As(err, &answer) && answer.Name == "org.freedesktop.DBus.Error.UnknownObject"
}

// checkUnit keeps what is no unit name from reaching systemd (systemd.unit(5),
// "Valid unit names"). Nor does a template's, NAME@.service: one of them
// fails the call for all other units in it.
func checkUnit(unit string) error {
	const allowed = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:_.\\@-"
	prefix, ok := strings.CutSuffix(unit, ".service")
	if !ok {
		prefix, ok = strings.CutSuffix(unit, ".socket")
	}
	if !ok || prefix == "" || prefix[0] == '@' || strings.HasSuffix(prefix, "@") || len(unit) > 255 || strings.ContainsFunc(prefix, func(r rune) bool { return !strings.ContainsRune(allowed, r) }) {
		return fmt.Errorf("%q is not the name of a service or socket unit", unit)
	}
	return nil
}
