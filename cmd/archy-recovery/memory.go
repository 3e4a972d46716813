package main

import (
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"archy-recovery/internal/sdnotify"
)

// A frugalNotifier gives back memory when recovery is complete: what a recovery
// needs, the daemon does not need in the months in which it only keeps the set.
type frugalNotifier struct {
	*sdnotify.Notifier
	log   *slog.Logger
	timer atomic.Pointer[time.Timer]
	idles atomic.Bool
}

const (
	// frugalAfter leaves time for what follows READY: the first look, the soak, and
	// those who have waited for it.
	frugalAfter = 30 * time.Second
	// frugalPercent is the garbage collector's GOGC from then on. Its heap grows to
	// 4 MB times a hundredth of that before it is looked through: less memory for
	// more work, of which there is hardly any.
	frugalPercent = 20
)

// Ready is the notifier's.
func (n *frugalNotifier) Ready(status string) {
	n.Notifier.Ready(status)
	n.timer.Store(time.AfterFunc(frugalAfter, func() {
		debug.SetGCPercent(frugalPercent)
		debug.FreeOSMemory()
		n.idles.Store(true)
		n.unmap()
	}))
}

// unmap gives back what of the program a client has needed, in the idle time.
func (n *frugalNotifier) unmap() {
	if !n.idles.Load() {
		return
	}
	if err := unmapProgram(); err != nil {
		n.log.Debug("the program's pages stay in memory", "error", err)
	}
}

func (n *frugalNotifier) stop() {
	if timer := n.timer.Load(); timer != nil {
		timer.Stop()
	}
}
