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
	// referenced: the unit has conditions, and systemd keeps it in its memory until release is called.
	referenced bool
	release    func()
	// dropIns is the question for the drop-ins of a unit that Install wrote, nil for other units. The answer
	// is there long before the job ends.
	dropIns *dbus.Call
}

// aboutEnd prepares for the end of a start job. own says that Install wrote the unit.
//
// The texts of Install have neither conditions nor a second command. So a job of such a unit that is done has
// started the container, unless there are drop-ins (Unit.DropInPaths). Nothing else need be asked: right after a
// start systemd is busy, and the next tier waits for this. The holder keeps the unit loaded.
func (l *link) aboutEnd(ctx context.Context, unit string, own bool) jobEnd {
	e := jobEnd{link: l, unit: unit, release: func() {}}
	if own {
		e.dropIns = l.conn.Object(systemd, pathOf(unit)).GoWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0,
			make(chan *dbus.Call, 1), unitIfc, "DropInPaths")
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
	if result == "done" && e.asWritten(ctx) {
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
	if result == "done" && o.Active == "inactive" && (e.referenced || e.dropIns != nil && l.hasConditions(ctx, e.unit)) {
		if v, err := l.get(ctx, u.Path, unitIfc, "ConditionResult"); err == nil {
			met, ok := v.Value().(bool)
			o.ConditionFailed = ok && !met
		}
	}
	return o, nil
}

// asWritten reports whether the unit is one that Install wrote, and has no drop-ins.
func (e jobEnd) asWritten(ctx context.Context) bool {
	if e.dropIns == nil {
		return false
	}
	select {
	case answer := <-e.dropIns.Done:
		var paths []string
		return answer.Store(&paths) == nil && len(paths) == 0
	case <-ctx.Done():
		return false
	}
}
