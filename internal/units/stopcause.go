package units

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// A stopCause is why systemd stops a unit that nobody asked it to stop. The zero value: somebody asked.
type stopCause struct {
	// why says it in words, such as "pod.service was stopped".
	why string
	// ended: the unit that it is bound to ended by itself, and was not stopped either.
	ended bool
}

// binds are the properties that name the units whose stop stops a unit, too. With BindsTo= their end does
// so as well (systemd.unit(5)).
var binds = []string{"BindsTo", "PartOf", "Requires", "Requisite", "StopPropagatedFrom"}

// conflicts are the properties that name the units whose start stops a unit.
var conflicts = []string{"Conflicts", "ConflictedBy"}

// justNow is how long ago a unit may have been stopped whose stop is the cause of another stop job. A target
// has stopped before the units in it begin to.
const justNow = 5 * time.Second

// causeOfStop returns why a unit has a stop job. systemd does not tell where a job came from, but a stop that
// others bring along is one job of several: those of the others are queued still, or have just ended.
func (l *link) causeOfStop(ctx context.Context, u listedUnit) (stopCause, error) {
	kinds := slices.Concat(binds, conflicts, []string{"After"})
	asked := make([]property, len(kinds))
	for i, kind := range kinds {
		asked[i] = property{u.Path, unitIfc, kind}
	}
	relations := map[string][]string{}
	var others []string
	for i, a := range l.getAll(ctx, asked) {
		if a.err != nil { // an older systemd lacks the property (StopPropagatedFrom: 249)
			if err := lost(ctx, l, a.err); err != nil {
				return stopCause{}, err
			}
			continue
		}
		names, _ := a.value.Value().([]string)
		relations[kinds[i]] = names
		if kinds[i] != "After" {
			others = append(others, names...)
		}
	}
	slices.Sort(others)
	others = slices.DeleteFunc(slices.Compact(others), func(name string) bool { return name == u.Name })
	if len(others) == 0 {
		return stopCause{}, nil
	}
	listed, err := l.listByNames(ctx, others)
	if err != nil {
		return stopCause{}, err
	}
	for i, name := range others {
		isIn := func(kind string) bool { return slices.Contains(relations[kind], name) }
		switch other := listed[i]; {
		case slices.ContainsFunc(conflicts, isIn):
			if other.JobType == "start" || other.JobType == "restart" || runsOrStarts(other.Active) && other.JobType == "" {
				return stopCause{why: name + ", which conflicts with it, was started"}, nil
			}
		case other.JobType == "stop":
			return stopCause{why: name + " was stopped"}, nil
		case isIn("BindsTo") && (!runsOrStarts(other.Active) || isRestart(other.Sub)):
			// Where it comes after the other, a stop of both ends with that of the other.
			ended := other.Active == "failed" || isRestart(other.Sub) || isIn("After")
			if ended {
				return stopCause{why: name + " has ended", ended: true}, nil
			}
			return stopCause{why: name + " was stopped"}, nil
		case l.stoppedJustNow(ctx, other):
			return stopCause{why: name + " was stopped"}, nil
		}
	}
	return stopCause{}, nil
}

// stoppedJustNow reports whether a unit has become inactive a moment ago
// (Unit.InactiveEnterTimestampMonotonic, in µs).
func (l *link) stoppedJustNow(ctx context.Context, u listedUnit) bool {
	if u.Active != "inactive" {
		return false
	}
	v, err := l.get(ctx, u.Path, unitIfc, "InactiveEnterTimestampMonotonic")
	at, ok := v.Value().(uint64)
	return err == nil && ok && at > 0 && monotonic()-time.Duration(at)*time.Microsecond < justNow
}

// monotonic is the time by systemd's clock.
func monotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // it does not fail for this clock
	return time.Duration(now.Nano())
}

// stopCause returns why a unit of which a stop job was seen is stopped. systemd is asked once for each stop.
func (d *feed) stopCause(ctx context.Context, unit string, u listedUnit) (stopCause, error) {
	d.mu.Lock()
	f := d.units[unit]
	if f != nil && f.cause != nil {
		defer d.mu.Unlock()
		return *f.cause, nil
	}
	d.mu.Unlock()
	cause, err := d.link.causeOfStop(ctx, u)
	if err != nil {
		return stopCause{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if f != nil && f.stopping {
		f.cause = &cause
	}
	return cause, nil
}

// endUnknown reports whether systemd has forgotten how a unit ended, as it does with
// CollectMode=inactive-or-failed: it unloads the unit also after a failure, and loads it anew for the question.
func (l *link) endUnknown(ctx context.Context, path dbus.ObjectPath, invocation string) bool {
	if strings.Trim(invocation, "0") != "" {
		return false
	}
	mode, err := l.getString(ctx, path, unitIfc, "CollectMode")
	return err == nil && mode == "inactive-or-failed"
}
