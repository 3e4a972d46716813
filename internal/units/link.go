package units

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// A link is a connection to the manager's bus, with the calls that wait for the end of a job.
type link struct {
	conn *dbus.Conn

	mu sync.Mutex
	// waiting maps a job to the channels that get its result. Two starts of one unit share a job.
	waiting map[dbus.ObjectPath][]chan string
	// calls counts the StartUnit calls without a reply. While there are any, early keeps the results of
	// jobs without a waiting channel: JobRemoved can come before the reply that names the job.
	calls int
	early map[dbus.ObjectPath]string
}

// newLink connects, and listens for the ends of jobs unless it only asks. ctx bounds only the time to connect.
func newLink(ctx context.Context, address string, asksOnly bool) (*link, error) {
	l := &link{waiting: map[dbus.ObjectPath][]chan string{}, early: map[dbus.ObjectPath]string{}}
	matches := [][]dbus.MatchOption{{
		dbus.WithMatchSender(systemd),
		dbus.WithMatchInterface(managerIfc),
		dbus.WithMatchMember("JobRemoved"),
	}}
	if asksOnly {
		matches = nil
	}
	conn, err := dial(ctx, address, l.listen, matches)
	l.conn = conn
	return l, err
}

func (l *link) alive() bool { return l.conn.Context().Err() == nil }

// listen sends the results of jobs to the channels that wait for them. It returns when the connection
// ends, which closes signals.
func (l *link) listen(signals <-chan *dbus.Signal) {
	for sig := range signals {
		if sig.Name != managerIfc+".JobRemoved" {
			continue
		}
		var (
			id           uint32
			job          dbus.ObjectPath
			unit, result string
		)
		if dbus.Store(sig.Body, &id, &job, &unit, &result) != nil {
			continue // it is malformed
		}
		l.mu.Lock()
		for _, waiter := range l.waiting[job] {
			waiter <- result // it has room, since it gets one result
		}
		delete(l.waiting, job)
		if _, again := l.early[job]; l.calls > 0 && !again {
			l.early[job] = result
		}
		l.mu.Unlock()
	}
}

// beginCall announces a call whose reply will name a job.
func (l *link) beginCall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
}

// endCall ends the call of beginCall. The channel gets the result of job, unless job is empty. forget
// stops the wait.
func (l *link) endCall(job dbus.ObjectPath) (result <-chan string, forget func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls--
	c := make(chan string, 1)
	if result, ok := l.early[job]; ok {
		c <- result
	} else if job != "" {
		l.waiting[job] = append(l.waiting[job], c)
	}
	if l.calls == 0 {
		clear(l.early)
	}
	return c, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		left := slices.DeleteFunc(l.waiting[job], func(other chan string) bool { return other == c })
		if l.waiting[job] = left; len(left) == 0 {
			delete(l.waiting, job)
		}
	}
}

// callTimeout bounds a call, as in sd-bus (SD_BUS_DEFAULT_TIMEOUT). godbus has no bound.
const callTimeout = 25 * time.Second

// call calls a method of systemd. The error wraps recover.ErrNoBus if there is no answer in time.
func (l *link) call(ctx context.Context, path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	bounded, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c := l.conn.Object(systemd, path).CallWithContext(bounded, method, 0, args...)
	if c.Err != nil && bounded.Err() != nil && ctx.Err() == nil {
		c.Err = fmt.Errorf("%w: systemd did not answer within %s", recover.ErrNoBus, callTimeout)
	}
	return c
}

// get reads a property.
func (l *link) get(ctx context.Context, path dbus.ObjectPath, iface, name string) (dbus.Variant, error) {
	var v dbus.Variant
	err := l.call(ctx, path, "org.freedesktop.DBus.Properties.Get", iface, name).Store(&v)
	return v, err
}

// A property is one that getAll reads.
type property struct {
	path        dbus.ObjectPath
	iface, name string
}

// An answer is the result of one call of getAll.
type answer struct {
	value dbus.Variant
	err   error
}

// maxCalls bounds the parallel calls. Most of the time of a call is the way to systemd and back. The
// bus allows some thousands.
const maxCalls = 32

// getAll reads properties in parallel. The answers have the order of the properties.
func (l *link) getAll(ctx context.Context, asked []property) []answer {
	answers := make([]answer, len(asked))
	inParallel(len(asked), func(i int) {
		p := asked[i]
		answers[i].value, answers[i].err = l.get(ctx, p.path, p.iface, p.name)
	})
	return answers
}

// allProperties are those of an object on one interface.
type allProperties struct {
	values map[string]dbus.Variant
	err    error
}

// getAllOf reads all properties of an object on an interface, in one call.
func (l *link) getAllOf(ctx context.Context, path dbus.ObjectPath, iface string) (all allProperties) {
	all.err = l.call(ctx, path, "org.freedesktop.DBus.Properties.GetAll", iface).Store(&all.values)
	return all
}

// inParallel calls do for each number below n, maxCalls at a time.
func inParallel(n int, do func(i int)) {
	places := make(chan struct{}, maxCalls)
	var calls sync.WaitGroup
	for i := range n {
		places <- struct{}{}
		calls.Go(func() {
			defer func() { <-places }()
			do(i)
		})
	}
	calls.Wait()
}

// lost returns why systemd did not answer a question: ctx has ended, or the bus is gone. It is nil if systemd
// answered, be it that there is no such unit any more, or that it is too old for the property.
func lost(ctx context.Context, l *link, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case !l.alive():
		return l.explain(err)
	}
	return nil
}

// getString reads a property that is a string.
func (l *link) getString(ctx context.Context, path dbus.ObjectPath, iface, name string) (string, error) {
	v, err := l.get(ctx, path, iface, name)
	if err != nil {
		return "", err
	}
	text, ok := v.Value().(string)
	if !ok {
		return "", fmt.Errorf("%s is a %s, not a string", name, v.Signature())
	}
	return text, nil
}

// explain wraps the error of a call into the errors of package recover.
func (l *link) explain(err error) error {
	var (
		answer dbus.Error
		broken syscall.Errno // a write may fail before godbus's reader sees the end of the bus
	)
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &answer):
		if answer.Name == systemd+".TransactionIsDestructive" {
			return fmt.Errorf("%w: %w", recover.ErrGoingDown, err)
		}
		if answer.Name == systemd+".UnitMasked" {
			return fmt.Errorf("%w: %w", recover.ErrMasked, err)
		}
		return err
	case !l.alive(), errors.As(err, &broken),
		errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, dbus.ErrClosed):
		return fmt.Errorf("%w: %w", recover.ErrNoBus, err)
	}
	return err
}
