package daemon

import (
	"log/slog"
	"sync"
	"time"

	"archy-recovery/internal/recover/diagnosis"
	"archy-recovery/internal/recover/engine"
)

// logFailureWithin bounds how long the entry of a failure waits for its cause.
const logFailureWithin = 3 * time.Second

// A failureLog logs the events of the engine. The entry of a failure waits a while for
// its explanation, so that one entry says what happened and why.
type failureLog struct {
	log *slog.Logger

	mu sync.Mutex
	// causes are the last that were logged, by the container's name.
	causes map[string]string
	// waiting are the failures that are not logged yet, by the container's name.
	waiting map[string]*waitingFailure
	closed  bool
}

type waitingFailure struct {
	event engine.Event
	timer *time.Timer
}

func newFailureLog(l *slog.Logger) *failureLog {
	return &failureLog{log: l, causes: map[string]string{}, waiting: map[string]*waitingFailure{}}
}

// write logs an event, and the cause of a failure in an entry that the catalog explains,
// once for each container and cause. Called with mu held.
func (f *failureLog) write(e engine.Event) {
	logEvent(f.log, e)
	why := explanationOf(e.Row)
	if why == nil || why.Reason == "" || f.causes[e.Row.Name] == why.Reason {
		return
	}
	f.causes[e.Row.Name] = why.Reason
	f.log.Info("the cause is known: "+why.Cause, "MESSAGE_ID", diagnosis.MessageID(why.Reason),
		"container", e.Row.Name, "unit", e.Row.Unit, "reason", why.Reason, "advice", why.Advice)
}

// hear logs an event, a failure when its explanation is known.
func (f *failureLog) hear(e engine.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := e.Row.Name
	before := f.waiting[name]
	switch e.Kind {
	case engine.Explained:
		if explanationOf(e.Row) == nil {
			return // of an earlier attempt
		}
		if before != nil && len(before.event.Row.Attempts) == len(e.Row.Attempts) {
			before.event.Row.Attempts = e.Row.Attempts
			f.flush(name)
			return
		}
	case engine.AttemptFailed, engine.GaveUp, engine.Fell, engine.Restarting:
		f.flush(name)
		if explanationOf(e.Row) == nil && len(e.Row.Attempts) > 0 && !f.closed {
			f.wait(e)
			return
		}
	case engine.Unhealthy, engine.Healthy:
	default:
		f.flush(name)
	}
	f.write(e)
}

// wait keeps a failure back. Called with mu held.
func (f *failureLog) wait(e engine.Event) {
	w := &waitingFailure{event: e}
	w.timer = time.AfterFunc(logFailureWithin, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.waiting[e.Row.Name] == w {
			f.flush(e.Row.Name)
		}
	})
	f.waiting[e.Row.Name] = w
}

// flush logs the failure of a container that is kept back, if there is one. Called with
// mu held.
func (f *failureLog) flush(name string) {
	if w := f.waiting[name]; w != nil {
		w.timer.Stop()
		delete(f.waiting, name)
		f.write(w.event)
	}
}

// close logs what is kept back, and keeps nothing back any more.
func (f *failureLog) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for name := range f.waiting {
		f.flush(name)
	}
}
