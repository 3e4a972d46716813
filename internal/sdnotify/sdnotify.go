// Package sdnotify is what we tell systemd over $NOTIFY_SOCKET (sd_notify(3)).
package sdnotify

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A Notifier speaks to the service manager that started us; without one it
// says nothing. It implements recover.Notifier.
type Notifier struct {
	log *slog.Logger
}

// New returns a Notifier that logs what it cannot send.
func New(log *slog.Logger) *Notifier { return &Notifier{log} }

// Ready says that start-up is over (READY=1), with a line on how it went.
func (n *Notifier) Ready(status string) { n.send("READY=1\nSTATUS=" + status) }

// Status sets the line that systemctl status shows (STATUS=).
func (n *Notifier) Status(status string) { n.send("STATUS=" + status) }

// Stopping says that the stop began (STOPPING=1).
func (n *Notifier) Stopping(status string) { n.send("STOPPING=1\nSTATUS=" + status) }

// Extend asks that start-up not count as timed out for another d from now
// (EXTEND_TIMEOUT_USEC=).
func (n *Notifier) Extend(d time.Duration) {
	n.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()))
}

// Watchdog calls alive at half the interval that systemd wants to hear from us
// in (WATCHDOG_USEC=, sd_watchdog_enabled(3)), and tells it so, until stop
// closes. alive should hang when the daemon hangs. Without a watchdog it
// returns at once.
func (n *Notifier) Watchdog(stop <-chan struct{}, alive func()) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		alive()
		n.send(daemon.SdNotifyWatchdog)
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

func (n *Notifier) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("cannot notify systemd", "error", err)
	}
}
