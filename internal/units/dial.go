package units

import (
	"context"

	"github.com/godbus/dbus/v5"
)

// dial connects to the bus at address, has systemd send its signals, and gives
// those that match to hear, in order, until the connection ends. ctx bounds
// the connecting, not the connection.
func dial(ctx context.Context, address string, hear func(<-chan *dbus.Signal), matches [][]dbus.MatchOption) (*dbus.Conn, error) {
	// To godbus a context is the connection's life, and neither connecting nor
	// authentication has another bound.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	bound := context.AfterFunc(ctx, end)
	conn, err := connect(life, address, hear, matches)
	if err == nil && !bound() {
		err = ctx.Err()
	}
	if err != nil {
		end()
		if ctx.Err() != nil { // the cause of whatever godbus says
			err = ctx.Err()
		}
		return nil, err
	}
	return conn, nil
}

func connect(life context.Context, address string, hear func(<-chan *dbus.Signal), matches [][]dbus.MatchOption) (*dbus.Conn, error) {
	conn, err := dbus.Dial(address, dbus.WithContext(life),
		// With godbus's default handler signals can overtake each other.
		dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, err
	}
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	go hear(signals)
	if err = conn.Auth(nil); err == nil {
		err = conn.Hello()
	}
	for _, match := range matches {
		if err == nil {
			err = conn.AddMatchSignal(match...)
		}
	}
	if err == nil {
		// Without it systemd sends signals only for one's own jobs; a start of
		// ours that merges with another's job would never be heard to end.
		err = conn.Object(systemd, managerPath).Call(managerIfc+".Subscribe", 0).Err
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
