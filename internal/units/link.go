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

// A link is one connection to the manager's bus, and the ends of the jobs that
// are heard over it.
type link struct {
	conn *dbus.Conn

	mu sync.Mutex
	// waiting maps a job to those who wait for its end: two starts of one unit
	// share a job.
	waiting map[dbus.ObjectPath][]chan string
	// calls counts the StartUnit calls whose reply is still out. While there
	// are any, early keeps the job ends that nobody waits for yet: JobRemoved
	// can come before the reply that names the job.
	calls int
	early map[dbus.ObjectPath]string
}

// newLink connects and listens for the ends of jobs. ctx bounds the
// connecting, not the connection.
func newLink(ctx context.Context, address string) (*link, error) {
	l := &link{waiting: map[dbus.ObjectPath][]chan string{}, early: map[dbus.ObjectPath]string{}}
	conn, err := dial(ctx, address, l.listen, [][]dbus.MatchOption{{
		dbus.WithMatchSender(systemd),
		dbus.WithMatchInterface(managerIfc),
		dbus.WithMatchMember("JobRemoved"),
	}})
	l.conn = conn
	return l, err
}

func (l *link) alive() bool { return l.conn.Context().Err() == nil }

// listen hands job ends to those who wait for them. It ends with the
// connection, which closes the channel.
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
			continue // not systemd's JobRemoved
		}
		l.mu.Lock()
		for _, waiter := range l.waiting[job] {
			waiter <- result // buffered, and sent to once
		}
		delete(l.waiting, job)
		if _, again := l.early[job]; l.calls > 0 && !again {
			l.early[job] = result
		}
		l.mu.Unlock()
	}
}

// begin announces a call whose reply will name a job.
func (l *link) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
}

// expect ends what begin began. Where job is not empty, its end arrives in the
// channel; forget lets go of it.
func (l *link) expect(job dbus.ObjectPath) (end <-chan string, forget func()) {
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

// callWithin is how long a call may take, as in sd-bus
// (SD_BUS_DEFAULT_TIMEOUT); godbus itself sets no bound.
const callWithin = 25 * time.Second

func (l *link) call(ctx context.Context, path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	bounded, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	c := l.conn.Object(systemd, path).CallWithContext(bounded, method, 0, args...)
	if c.Err != nil && bounded.Err() != nil && ctx.Err() == nil {
		c.Err = fmt.Errorf("%w: systemd did not answer within %s", recover.ErrNoBus, callWithin)
	}
	return c
}

func (l *link) get(ctx context.Context, path dbus.ObjectPath, iface, name string) (dbus.Variant, error) {
	var v dbus.Variant
	err := l.call(ctx, path, "org.freedesktop.DBus.Properties.Get", iface, name).Store(&v)
	return v, err
}

// An answer is what came of one of many calls.
type answer struct {
	value dbus.Variant
	err   error
}

// atOnce is how many calls may be out side by side: most of the time that one
// takes is the way there and back. The bus allows some thousands.
const atOnce = 32

// getAll reads a property of many objects. The answers are in their order.
func (l *link) getAll(ctx context.Context, paths []dbus.ObjectPath, iface, name string) []answer {
	answers := make([]answer, len(paths))
	for part := range slices.Chunk(answers, atOnce) {
		var out sync.WaitGroup
		for i := range part {
			path := paths[i]
			out.Go(func() { part[i].value, part[i].err = l.get(ctx, path, iface, name) })
		}
		out.Wait()
		paths = paths[len(part):]
	}
	return answers
}

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

// explain turns an error of a call into one that policy knows.
func (l *link) explain(err error) error {
	var (
		answer dbus.Error
		broken syscall.Errno // a writer may see the end of the bus before godbus's reader does
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
