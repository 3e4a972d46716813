package daemon

import (
	"time"

	"archy-recovery/internal/recover"
)

// aliveEvery is the least time between two writes of the moment last known alive.
const aliveEvery = 10 * time.Minute

// A pulse writes down that the host is alive: at READY, and then with the snapshot
// timer's tick, which comes anyway. It is used under the keeper's lock.
type pulse struct {
	world    World
	identity recover.Identity
	// last is when it was written, and next when that is due again; earlier if the wall
	// clock was set since.
	last, next time.Time
}

// beat writes the moment down, if the last one is old enough. onDisk is the snapshot as
// it was saved last, and confirmed when a look found it still true, 0 if none did.
func (p *pulse) beat(onDisk recover.Snapshot, confirmed time.Duration) {
	now := time.Now()
	if now.Before(p.next) && recover.Stepped(p.last, now).Abs() < clockStep {
		return
	}
	p.last, p.next = now, now.Add(aliveEvery)
	alive := recover.LastAlive{BootID: p.identity.BootID, SoftReboots: p.identity.SoftReboots, Time: now}
	if onDisk.Of(p.identity) && confirmed >= onDisk.Monotonic {
		alive.Snapshot, alive.Confirmed = onDisk.Monotonic, confirmed
	}
	if err := p.world.Store.SaveLastAlive(alive); err != nil {
		p.world.Log.Warn("the moment last known alive cannot be written", "MESSAGE_ID", recover.MsgStateDamaged, "error", err)
	}
}
