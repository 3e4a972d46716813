package units

import (
	"context"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// AwaitEnd returns when a unit is neither active, reloading nor deactivating (Unit.ActiveState).
func (m *Manager) AwaitEnd(ctx context.Context, unit string) error {
	if err := checkUnit(unit); err != nil {
		return err
	}
	isUnit := func(changed string) bool { return changed == unit }
	return awaitUnits(ctx, m.address, isUnit, func(l *link) (bool, error) {
		state, err := l.getString(ctx, pathOf(unit), unitIfc, "ActiveState")
		return state != "active" && state != "reloading" && state != "deactivating", l.explain(err)
	})
}

// awaitUnits returns when done reports true. It calls done at once, and again after each change of
// a unit for which relevant reports true (PropertiesChanged of org.freedesktop.systemd1.Unit). It
// uses a connection of its own.
func awaitUnits(
	ctx context.Context, address string, relevant func(unit string) bool, done func(*link) (bool, error),
) error {
	changes := make(chan struct{}, 1)
	listen := func(signals <-chan *dbus.Signal) {
		defer close(changes)
		for sig := range signals {
			if !relevant(unitOf(sig.Path)) {
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
