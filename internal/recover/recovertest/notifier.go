package recovertest

import (
	"time"

	"archy-recovery/internal/recover"
)

// Notifier hears what is told to the service manager.
type Notifier struct{ H *Host }

func (f Notifier) Ready(status string) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	f.H.Say("READY %s", status)
}
func (f Notifier) Status(status string)   { f.H.Set(func() { f.H.Status = status }) }
func (f Notifier) Extend(time.Duration)   {}
func (f Notifier) Stopping(status string) { f.H.Mu.Lock(); defer f.H.Mu.Unlock(); f.H.Say("STOPPING") }

// Gauge tells how much the host is under pressure.
type Gauge struct{ H *Host }

func (f Gauge) Stalls() (recover.Stalls, error) {
	if f.H.Stalls != nil {
		return f.H.Stalls()
	}
	return recover.Stalls{}, nil
}
