package units

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// AwaitLife returns what has become of a service when its State or Restarts differ from those of last, at
// once if they do already. It looks after its subscription is in place, so it also sees a service that ended
// before the call (Unit.ActiveState, Unit.SubState, Service.NRestarts).
//
// Restarts is NRestarts, which systemd resets at a start by hand. A service whose NRestarts grew is
// LifeRestarting, even if it runs again, as with RestartMode=direct; the next call then returns LifeRuns.
// A oneshot service is LifeRuns while its main process runs (Service.Type, Service.MainPID). A service
// that is on its way from one state to another has no Life, and AwaitLife waits for the next state.
//
// LifeStopped means that a stop job of the service was seen. A stop job that was too short to be seen leaves
// LifeEnded, as does a "podman stop". Because says whether another unit's stop or start brought the job along.
// If the service was stopped since a unit that it is bound to has ended by itself, it is LifeEnded. A stop job
// of a shutdown counts too.
func (f *follower) AwaitLife(ctx context.Context, unit string, last recover.Life) (recover.Life, error) {
	if err := checkUnit(unit); err != nil {
		return recover.Life{}, err
	}
	if !strings.HasSuffix(unit, ".service") {
		return recover.Life{}, fmt.Errorf("%s is not a service", unit)
	}
	var life recover.Life
	err := f.await(ctx, unit, func(d *feed) (bool, error) {
		var err error
		life, err = d.life(ctx, unit, last)
		return err == nil && differs(life, last), err
	})
	if err != nil {
		return recover.Life{}, err
	}
	return life, nil
}

// life reads the present life of a service. Its State is LifeUnknown between two states.
func (d *feed) life(ctx context.Context, unit string, last recover.Life) (recover.Life, error) {
	// NRestarts comes first: a state from before a restart must not be taken for the state after it.
	v, err := d.link.get(ctx, pathOf(unit), serviceIfc, "NRestarts")
	if err != nil {
		return recover.Life{}, d.link.explain(err)
	}
	u, err := d.link.list(ctx, unit)
	if err != nil {
		return recover.Life{}, err
	}
	life := recover.Life{Restarts: count(v)}
	stopping, again := d.noteJob(unit, u), isRestart(u.Sub)
	var cause stopCause
	if stopping { // also while it ends: what brought the stop along may be gone at its end
		if cause, err = d.stopCause(ctx, unit, u); err != nil {
			return recover.Life{}, err
		}
	}
	switch {
	case again, runsOrStarts(u.Active) && life.Restarts > last.Restarts:
		life.State = recover.LifeRestarting
	case u.Active == "activating":
		if d.link.mainRuns(ctx, u) {
			life.State = recover.LifeRuns
		}
	case runsOrStarts(u.Active):
		life.State = recover.LifeRuns
	case u.Active != "inactive" && u.Active != "failed": // it is deactivating
	case u.JobType == "start" || u.JobType == "restart": // it starts again
	case stopping && !cause.ended:
		life.State, life.Because = recover.LifeStopped, cause.why
	default:
		life.State, life.Because = recover.LifeEnded, cause.why
	}
	runs := life.State == recover.LifeRuns || runsOrStarts(u.Active) && !again // and the last run's end is gone
	if differs(life, last) && !runs {
		d.link.readEnd(ctx, u.Path, &life)
	}
	return life, nil
}

// differs reports whether life is known, and news after last.
func differs(life, last recover.Life) bool {
	return life.State != recover.LifeUnknown && (life.State != last.State || life.Restarts != last.Restarts)
}

// count returns the value of a property that counts, of type u.
func count(v dbus.Variant) int {
	n, _ := v.Value().(uint32)
	return int(n)
}

// isRestart reports whether a service in this sub state waits for its restart by systemd: auto-restart,
// auto-restart-queued, failed-before-auto-restart or dead-before-auto-restart.
func isRestart(sub string) bool { return strings.Contains(sub, "auto-restart") }

// runsOrStarts reports whether a unit in this state runs or is being started.
func runsOrStarts(active string) bool {
	switch active {
	case "active", "reloading", "refreshing", "activating":
		return true
	}
	return false
}

// noteJob remembers a stop job of a unit until the unit runs or starts again, and reports whether there is
// one or was one.
func (d *feed) noteJob(unit string, u listedUnit) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.units[unit]
	switch {
	case f == nil: // the feed has ended
		return u.JobType == "stop"
	case u.JobType == "stop":
		f.stopping = true
	case u.JobType != "", runsOrStarts(u.Active):
		f.stopping, f.cause = false, nil
	}
	return f.stopping
}

// mainRuns reports whether the main process of a oneshot service runs.
func (l *link) mainRuns(ctx context.Context, u listedUnit) bool {
	if u.Active != "activating" || u.Sub != "start" {
		return false
	}
	if kind, err := l.getString(ctx, u.Path, serviceIfc, "Type"); err != nil || kind != "oneshot" {
		return false
	}
	v, err := l.get(ctx, u.Path, serviceIfc, "MainPID")
	return err == nil && count(v) != 0
}

// readEnd reads how the last run of a service ended. A property that cannot be read stays empty, since the
// state says enough.
func (l *link) readEnd(ctx context.Context, path dbus.ObjectPath, life *recover.Life) {
	if v, err := l.get(ctx, path, serviceIfc, "NRestarts"); err == nil && life.State != recover.LifeRestarting {
		life.Restarts = count(v) // it may have grown before the state was read
	}
	life.Result, _ = l.getString(ctx, path, serviceIfc, "Result")
	life.OOMKilled = life.Result == "oom-kill"
	if v, err := l.get(ctx, path, serviceIfc, "ExecMainStatus"); err == nil {
		status, _ := v.Value().(int32)
		life.ExitCode = int(status)
	}
	invocation := l.invocation(ctx, path)
	if l.endUnknown(ctx, path, invocation) {
		life.ExitCode, life.Result = recover.UnknownExit, ""
	}
	if life.State != recover.LifeStopped {
		life.Invocation, life.MainPID = invocation, l.mainPID(ctx, path)
	}
}

// mainPID returns the main process of the last run, 0 if it is not known (Service.ExecMainPID).
func (l *link) mainPID(ctx context.Context, path dbus.ObjectPath) int {
	v, err := l.get(ctx, path, serviceIfc, "ExecMainPID")
	if err != nil {
		return 0
	}
	return count(v)
}

// invocation returns the invocation ID of a unit in hexadecimal, "" if it is not known (Unit.InvocationID).
// It is that of the last start: a service in auto-restart still has that of the run that failed, and once
// it starts again, the ID of that run is gone. A unit that ended with success may be unloaded, and has no ID
// then (seen with systemd 257).
func (l *link) invocation(ctx context.Context, path dbus.ObjectPath) string {
	v, err := l.get(ctx, path, unitIfc, "InvocationID")
	if err != nil {
		return ""
	}
	return invocationOf(v)
}

// invocationOf is the value of Unit.InvocationID in hexadecimal.
func invocationOf(v dbus.Variant) string {
	id, _ := v.Value().([]byte)
	return hex.EncodeToString(id)
}

var containerID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// AwaitScopeEnd returns when the scope of a container, libpod-ID.scope, is neither active nor deactivating
// (Unit.ActiveState). It returns at once if systemd knows no such scope, which is also so for each container
// of a podman with --cgroup-manager=cgroupfs: a caller that calls it again must look in between, and pause.
func (f *follower) AwaitScopeEnd(ctx context.Context, id string) error {
	if !containerID.MatchString(id) {
		return fmt.Errorf("%.80q is not the ID of a container", id)
	}
	scope := "libpod-" + id + ".scope"
	return f.await(ctx, scope, func(d *feed) (bool, error) {
		var path dbus.ObjectPath
		err := d.link.call(ctx, managerPath, managerIfc+".GetUnit", scope).Store(&path)
		if err != nil {
			return isUnknownUnit(err), d.link.unlessGone(err)
		}
		state, err := d.link.getString(ctx, path, unitIfc, "ActiveState")
		if err != nil {
			return isUnknownObject(err), d.link.unlessGone(err)
		}
		return state == "inactive" || state == "failed", nil
	})
}

// unlessGone is explain, with no error where that says that a unit is not loaded.
func (l *link) unlessGone(err error) error {
	if isUnknownUnit(err) || isUnknownObject(err) {
		return nil
	}
	return l.explain(err)
}

// isUnknownUnit reports whether a call failed since the unit is not loaded.
func isUnknownUnit(err error) bool {
	var answer dbus.Error
	return errors.As(err, &answer) && answer.Name == systemd+".NoSuchUnit"
}

// AwaitEnd returns when a unit is neither active, reloading nor deactivating (Unit.ActiveState), or when it has
// become active since a moment of CLOCK_MONOTONIC (Unit.ActiveEnterTimestampMonotonic): systemd has started it
// again by then, and the end of its last run is over.
func (f *follower) AwaitEnd(ctx context.Context, unit string, since time.Duration) error {
	if err := checkUnit(unit); err != nil {
		return err
	}
	return f.await(ctx, unit, func(d *feed) (bool, error) {
		state, err := d.link.getString(ctx, pathOf(unit), unitIfc, "ActiveState")
		if err != nil {
			return false, d.link.explain(err)
		}
		switch state {
		case "deactivating":
			return false, nil
		case "active", "reloading":
		default:
			return true, nil
		}
		v, err := d.link.get(ctx, pathOf(unit), unitIfc, "ActiveEnterTimestampMonotonic")
		if err != nil {
			return false, d.link.explain(err)
		}
		entered, _ := v.Value().(uint64) // in µs
		return time.Duration(entered)*time.Microsecond > since, nil
	})
}
