package units

import (
	"context"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// AwaitEnd returns when a unit is not active any more, nor deactivating.
// (Unit.ActiveState)
func (m *Manager) AwaitEnd(ctx context.Context, unit string) error {
	if err := checkUnit(unit); err != nil {
		return err
	}
	return awaitUnits(ctx, m.address, func(changed string) bool { return changed == unit }, func(l *link) (bool, error) {
		state, err := l.getString(ctx, pathOf(unit), unitIfc, "ActiveState")
		return state != "active" && state != "reloading" && state != "deactivating", l.explain(err)
	})
}

// awaitUnits returns when done says so, which is asked first, and again when a unit
// that concerns it has changed. It has a connection of its own.
// (PropertiesChanged of org.freedesktop.systemd1.Unit)
func awaitUnits(ctx context.Context, address string, concerns func(unit string) bool, done func(*link) (bool, error)) error {
	changes := make(chan struct{}, 1)
	listen := func(signals <-chan *dbus.Signal) {
		defer close(changes)
		for sig := range signals {
			if !concerns(unitOf(sig.Path)) {
				continue
			}
			select {
			case changes <- struct{}{}:
			default:
			}
		}
	}
	conn, err := dial(ctx, address, listen, [][]dbus.MatchOption{unitChanges})
	if err != nil {
		return noBus(address, err)
	}
	defer conn.Close()
	l := &link{conn: conn}
	for {
		if ended, err := done(l); err != nil || ended {
			return err
		}
		select {
		case _, alive := <-changes:
			if !alive {
				return recover.ErrNoBus
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
