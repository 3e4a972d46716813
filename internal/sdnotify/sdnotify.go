// Package sdnotify sends the state of this process to systemd over $NOTIFY_SOCKET (sd_notify(3)).
package sdnotify

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A Notifier sends to the service manager that started this process. Without one it sends
// nothing. It implements daemon.Notifier.
type Notifier struct {
	log *slog.Logger
}

// New returns a Notifier that logs the messages it cannot send.
func New(log *slog.Logger) *Notifier { return &Notifier{log} }

// Ready says that start-up is complete (READY=1), and sets the status line.
func (n *Notifier) Ready(status string) { n.send("READY=1\nSTATUS=" + status) }

// Status sets the status line that systemctl status shows (STATUS=).
func (n *Notifier) Status(status string) { n.send("STATUS=" + status) }

// Stopping says that the stop has begun (STOPPING=1), and sets the status line.
func (n *Notifier) Stopping(status string) { n.send("STOPPING=1\nSTATUS=" + status) }

// Extend asks that start-up does not time out before d from now (EXTEND_TIMEOUT_USEC=).
func (n *Notifier) Extend(d time.Duration) {
	n.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", d.Microseconds()))
}

// Watchdog calls alive and then sends WATCHDOG=1, at half the watchdog's interval
// (WATCHDOG_USEC=, sd_watchdog_enabled(3)). It does so until stop closes. alive must hang when the
// daemon hangs. Without a watchdog it returns at once.
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
