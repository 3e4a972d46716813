package units

import (
	"context"

	"github.com/godbus/dbus/v5"
)

// dial connects to the bus at address and subscribes to systemd's signals. It passes the signals that
// match to receive, in order, until the connection ends. Without matches it does not subscribe. ctx bounds only
// the time to connect.
func dial(
	ctx context.Context, address string, receive func(<-chan *dbus.Signal), matches [][]dbus.MatchOption,
) (*dbus.Conn, error) {
	// In godbus a context is the lifetime of the connection. It is also the only bound for connecting
	// and authentication.
	lifetime, end := context.WithCancel(context.WithoutCancel(ctx))
	stopBound := context.AfterFunc(ctx, end)
	conn, err := connect(lifetime, address, receive, matches)
	if err == nil && !stopBound() {
		err = ctx.Err()
	}
	if err != nil {
		end()
		if ctx.Err() != nil { // the cause of godbus's error
			err = ctx.Err()
		}
		return nil, err
	}
	return conn, nil
}

// connect is dial without a bound for the time to connect.
func connect(
	lifetime context.Context, address string, receive func(<-chan *dbus.Signal), matches [][]dbus.MatchOption,
) (*dbus.Conn, error) {
	conn, err := dbus.Dial(address, dbus.WithContext(lifetime),
		// godbus's default handler can change the order of signals.
		dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	if err != nil {
		return nil, err
	}
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	go receive(signals)
	if err = conn.Auth(nil); err == nil {
		err = conn.Hello()
	}
	for _, match := range matches {
		if err == nil {
			err = conn.AddMatchSignal(match...)
		}
	}
	if err == nil && len(matches) > 0 {
		// Without this systemd sends signals only for the caller's own jobs. The end of a start that
		// was merged with the job of another program would be lost.
		err = conn.Object(systemd, managerPath).Call(managerIfc+".Subscribe", 0).Err
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
