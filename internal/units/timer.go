package units

import (
	"context"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// NextElapse returns the time at which a timer unit elapses next (Timer.NextElapseUSecMonotonic). runs is
// false if it does not run.
func (m *Manager) NextElapse(ctx context.Context, timer string) (at time.Time, runs bool, err error) {
	l, err := m.connect(ctx)
	if err != nil {
		return time.Time{}, false, err
	}
	var path dbus.ObjectPath
	if err := l.call(ctx, managerPath, managerIfc+".LoadUnit", timer).Store(&path); err != nil {
		return time.Time{}, false, l.explain(err)
	}
	v, err := l.get(ctx, path, systemd+".Timer", "NextElapseUSecMonotonic")
	if err != nil {
		return time.Time{}, false, l.explain(err)
	}
	usec, ok := v.Value().(uint64)
	if !ok {
		return time.Time{}, false, fmt.Errorf("NextElapseUSecMonotonic is a %s", v.Signature())
	}
	const never = 1 << 62 // systemd has 2^64-1 for never
	if usec == 0 || usec > never/1000 {
		return time.Time{}, false, nil
	}
	return time.Now().Add(time.Duration(usec)*time.Microsecond - monotonic()), true, nil
}
