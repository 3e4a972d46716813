package recovertest

import (
	"context"

	"archy-recovery/internal/recover"
)

// offline is a channel that is closed once the network is there.
func (f Systemd) offline() <-chan struct{} {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	if f.H.Offline != nil {
		return f.H.Offline
	}
	there := make(chan struct{})
	close(there)
	return there
}

func (f Systemd) NetworkState(context.Context) (recover.NetworkState, error) {
	select {
	case <-f.offline():
		return recover.NetworkUp, f.H.BusErr
	case <-f.gaveUp():
		return recover.NetworkUnsure, f.H.BusErr
	default:
		return recover.NetworkDown, f.H.BusErr
	}
}

// gaveUp is a channel that is closed once the host has given up its wait for the network.
func (f Systemd) gaveUp() <-chan struct{} {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	return f.H.GaveUp
}

func (f Systemd) AwaitNetwork(ctx context.Context, than recover.NetworkState) error {
	f.H.Mu.Lock()
	f.H.Say("await the network")
	err := f.H.NetworkErr
	f.H.Mu.Unlock()
	if err != nil {
		return err
	}
	gaveUp := f.gaveUp()
	if than != recover.NetworkDown {
		gaveUp = nil
	}
	select {
	case <-f.offline():
		return nil
	case <-gaveUp:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f Systemd) NetworkNeed(_ context.Context, unit string) (recover.NetworkNeed, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	return f.H.NetworkNeeds[unit], f.H.BusErr
}

// StartOffline is Start, and said so.
func (f Systemd) StartOffline(ctx context.Context, unit string, _ bool, _ ...string) (recover.Outcome, error) {
	o, err := f.start(ctx, unit, "start offline "+unit)
	o.Offline = true
	return o, err
}
