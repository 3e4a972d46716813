package units

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"go.uber.org/goleak"
)

// TestStartNoReply checks that a missing reply delays no other Start. It is not parallel, since it checks all
// goroutines.
func TestStartNoReply(t *testing.T) {
	m, f := newManager(t)
	syncReplies(t, m) // now it is connected
	running := goleak.IgnoreCurrent()

	hung := make(chan struct{})
	f.starts(func(c *startCall) {
		if c.unit == "hung.service" {
			close(hung)
			return
		}
		startAtOnce(c)
	})
	ctx, cancel := context.WithCancel(t.Context())
	result := startAsync(ctx, m, "hung.service")
	await(t, hung, "the call that gets no reply")

	if o, err := m.Start(soon(t), "other.service"); err != nil || o.Active != "active" {
		t.Errorf("another Start: %+v, %v", o, err)
	}
	select {
	case r := <-result:
		t.Fatalf("the Start without a reply returns %+v, %v", r.outcome, r.err)
	default:
	}
	cancel()
	if r := await(t, result, "the end with ctx"); !errors.Is(r.err, context.Canceled) {
		t.Errorf("got %+v, %v", r.outcome, r.err)
	}
	checkNothingWaits(t, m)
	goleak.VerifyNone(t, running)
}

func TestStartDeadline(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(*fakeSystemd, *startCall){
		"no reply":      func(*fakeSystemd, *startCall) {},
		"no JobRemoved": func(f *fakeSystemd, c *startCall) { c.reply(f.newJob()) },
		"JobRemoved of another job": func(f *fakeSystemd, c *startCall) {
			c.reply(f.newJob())
			f.end(f.newJob(), c.unit, "done")
		},
		"JobRemoved of another job before the reply": func(f *fakeSystemd, c *startCall) {
			f.end(f.newJob(), c.unit, "done")
			c.reply(f.newJob())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			syncReplies(t, m)
			f.starts(func(c *startCall) { answer(f, c) })
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			o, err := m.Start(ctx, "app.service")
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, recover.ErrNoBus) {
				t.Errorf("got %+v, %v", o, err)
			}
			checkNothingWaits(t, m)
		})
	}
}

func TestStartBusDies(t *testing.T) {
	t.Parallel()
	for name, replies := range map[string]bool{
		"during the job":   true,
		"before the reply": false,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBus(t)
			m, f := managerOn(t, b), newSystemd(t, b)
			called := make(chan struct{})
			f.starts(func(c *startCall) {
				if replies {
					c.reply(f.newJob())
				}
				close(called)
			})
			result := startAsync(soon(t), m, "app.service")
			await(t, called, "the call")
			syncReplies(t, m)
			b.kill()
			r := await(t, result, "the end with the bus")
			if !errors.Is(r.err, recover.ErrNoBus) {
				t.Errorf("got %+v, %v", r.outcome, r.err)
			}
			if _, err := m.Start(soon(t), "app.service"); !errors.Is(err, recover.ErrNoBus) {
				t.Errorf("without a bus: %v", err)
			}

			b.run()
			newSystemd(t, b)
			if o, err := m.Start(soon(t), "app.service"); err != nil || o.Active != "active" {
				t.Errorf("after the restart of the bus: %+v, %v", o, err)
			}
		})
	}
}

func TestStartRefused(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	for name, c := range map[string]struct {
		name, text string
		want       error // nil: none of the errors of package recover
	}{
		"host is going down": {
			systemd + ".TransactionIsDestructive", "Transaction is destructive", recover.ErrGoingDown},
		"unit unknown": {
			systemd + ".NoSuchUnit", "Unit app.service not found.", nil},
		"systemd left the bus": {
			"org.freedesktop.DBus.Error.NoReply", "Message recipient disconnected from message bus without replying", nil},
	} {
		t.Run(name, func(t *testing.T) {
			f.starts(func(call *startCall) { call.refuse(c.name, c.text) })
			_, err := m.Start(soon(t), "app.service")
			if err == nil || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), "app.service") {
				t.Errorf("got %v", err)
			}
			for _, known := range []error{recover.ErrGoingDown, recover.ErrNoBus, recover.ErrOrderedAfterUs} {
				if errors.Is(err, known) != (known == c.want) {
					t.Errorf("%v counts as %q: %v", err, known, errors.Is(err, known))
				}
			}
			checkNothingWaits(t, m)
		})
	}
}
