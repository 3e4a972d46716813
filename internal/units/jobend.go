package units

import (
	"context"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// A jobEnd reads how a start job has ended.
type jobEnd struct {
	link *link
	unit string
	// asWritten: systemd runs the text that Install wrote, and nothing else.
	asWritten bool
	// referenced: the unit has conditions, and systemd keeps it in its memory until release is called.
	referenced bool
	release    func()
}

// aboutEnd prepares for the end of a start job.
//
// The texts of Install have neither conditions nor a second command. So a job of such a unit that is done has
// started the container, unless the unit has drop-ins, or systemd prefers a file in another directory
// (Unit.FragmentPath, Unit.DropInPaths). Nothing else need be asked: right after a start systemd is busy, and the
// next tier waits for this.
func (m *Manager) aboutEnd(ctx context.Context, l *link, unit string) jobEnd {
	e := jobEnd{link: l, unit: unit, release: func() {}}
	if written, own := ownFile(m.runtimeDir, unit); own {
		at := pathOf(unit)
		asked := l.getAll(ctx, []property{{at, unitIfc, "FragmentPath"}, {at, unitIfc, "DropInPaths"}})
		file, _ := asked[0].value.Value().(string)
		dropIns, known := asked[1].value.Value().([]string)
		e.asWritten = file == written && known && len(dropIns) == 0
	}
	if e.asWritten {
		return e
	}
	e.referenced, e.release = l.reference(ctx, unit)
	return e
}

// reference keeps a unit with conditions in systemd's memory until release is called (Manager.RefUnit).
//
// systemd may unload a unit that ends at once, such as one that only starts its container. Loaded again,
// the unit says that no condition was met (seen with systemd 252). A unit without conditions needs no
// reference, which would cost PID 1 four calls to the bus.
func (l *link) reference(ctx context.Context, unit string) (referenced bool, release func()) {
	if !l.hasConditions(ctx, unit) || l.call(ctx, managerPath, managerIfc+".RefUnit", unit).Err != nil {
		return false, func() {}
	}
	return true, func() {
		// There is no reply to wait for. If the call is lost, the end of the connection drops the reference.
		l.conn.Object(systemd, managerPath).Go(managerIfc+".UnrefUnit", dbus.FlagNoReplyExpected, nil, unit)
	}
}

// hasConditions reports whether a unit has conditions, also if that is not known (Unit.Conditions).
func (l *link) hasConditions(ctx context.Context, unit string) bool {
	var conditions []condition
	v, err := l.get(ctx, pathOf(unit), unitIfc, "Conditions")
	if err == nil {
		err = v.Store(&conditions)
	}
	return err != nil || len(conditions) > 0
}

// A condition is an entry of Unit.Conditions, of type (sbbsi).
type condition struct {
	Type             string
	Trigger, Negated bool
	Parameter        string
	State            int32
}

// outcome reads the state of the unit after the end of its job.
func (e jobEnd) outcome(ctx context.Context, result string) (recover.Outcome, error) {
	l, o := e.link, recover.Outcome{Job: result}
	if result == "done" && e.asWritten {
		o.UnitState = recover.UnitState{Loaded: true, Active: "inactive", Sub: "dead"} // as Type=oneshot ends
		o.Result = "success"
		return o, nil
	}
	u, err := l.list(ctx, e.unit)
	if err != nil {
		return o, err
	}
	o.UnitState = recover.UnitState{Loaded: u.Load == "loaded", Active: u.Active, Sub: u.Sub}
	if o.Active == "active" || u.Path == "" { // without a path it is neither a service nor a socket
		return o, nil
	}
	// They are read side by side: the next tier may wait for this. A property that cannot be read stays empty,
	// since the state above says enough.
	end := l.getAll(ctx, []property{{u.Path, serviceIfc, "Result"}, {u.Path, serviceIfc, "ExecMainStatus"},
		{u.Path, unitIfc, "InvocationID"}, {u.Path, serviceIfc, "ExecMainPID"}})
	o.Result, _ = end[0].value.Value().(string)
	status, _ := end[1].value.Value().(int32)
	o.ExitStatus, o.Invocation, o.MainPID = int(status), invocationOf(end[2].value), count(end[3].value)
	if result == "dependency" {
		o.Blockers, o.NotMounted = l.blockers(ctx, u.Path)
	}
	if result == "done" && o.Active == "inactive" && e.referenced {
		if v, err := l.get(ctx, u.Path, unitIfc, "ConditionResult"); err == nil {
			met, ok := v.Value().(bool)
			o.ConditionFailed = ok && !met
		}
	}
	return o, nil
}
