package units

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"
)

func TestStatesAnswersUnderTheNamesThatWereAskedFor(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("db.service", "active", "running", nil)
	f.set("web.service", "failed", "failed", nil)
	f.change(func() {
		f.aliases["postgres.service"] = "db.service"
		f.units["odd.service"] = &fakeUnit{load: "masked", active: "inactive", sub: "dead"}
	})

	asked := append([]string{"postgres.service", "web.service", "gone.service", "db.service", "odd.service", "db.service"}, badUnitNames...)
	got, err := m.States(soon(t), asked)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]recover.UnitState{
		"db.service":       {Loaded: true, Active: "active", Sub: "running"},
		"postgres.service": {Loaded: true, Active: "active", Sub: "running"},
		"web.service":      {Loaded: true, Active: "failed", Sub: "failed"},
		"gone.service":     {Active: "inactive", Sub: "dead"},
		"odd.service":      {Active: "inactive", Sub: "dead"},
	}
	for name, state := range want {
		if got[name] != state {
			t.Errorf("%s: got %+v, want %+v", name, got[name], state)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, bad := range badUnitNames {
		if slices.Contains(f.lastQuery, bad) {
			t.Errorf("systemd was asked for %q", bad)
		}
	}
}

func TestStatesOfNothingNeedsNoBus(t *testing.T) {
	t.Parallel()
	m := New("unix:path=/nonexistent/bus", "", "")
	if got, err := m.States(soon(t), []string{"no unit", ""}); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestWithoutABusEveryCallSaysSo(t *testing.T) {
	t.Parallel()
	m := New("unix:path="+filepath.Join(t.TempDir(), "bus"), t.TempDir(), "")
	ctx := soon(t)
	for call, do := range map[string]func() error{
		"Start":          func() error { _, err := m.Start(ctx, "app.service"); return err },
		"States":         func() error { _, err := m.States(ctx, []string{"app.service"}); return err },
		"ContainerUnits": func() error { _, err := m.ContainerUnits(ctx, nil); return err },
		"Install":        func() error { return m.Install(ctx, map[string]string{"app.service": ""}) },
		"Watch":          func() error { _, err := m.Watch(ctx); return err },
		"SoftReboots":    func() error { _, err := m.SoftReboots(ctx); return err },
	} {
		if err := do(); !errors.Is(err, recover.ErrNoBus) {
			t.Errorf("%s: %v", call, err)
		}
	}
}

func TestABusWithoutSystemdIsNoBus(t *testing.T) {
	t.Parallel()
	m := managerOn(t, newBus(t))
	if _, err := m.Start(soon(t), "app.service"); !errors.Is(err, recover.ErrNoBus) {
		t.Errorf("got %v", err)
	}
}

// Not parallel: it looks at all goroutines.
func TestABusThatTakesConnectionsAndSaysNothingHoldsNothing(t *testing.T) {
	running := goleak.IgnoreCurrent()
	path := filepath.Join(t.TempDir(), "bus")
	mute, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close() // takes no connection: the kernel does, into its backlog
	m := New("unix:path="+path, "", "")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := m.Start(ctx, "app.service"); !errors.Is(err, recover.ErrNoBus) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	goleak.VerifyNone(t, running) // while the bus is still there
}

func TestCallsAtOnceEndUpOnOneConnection(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	results := make([]<-chan startResult, 8)
	for i := range results {
		results[i] = startAside(soon(t), m, "app.service")
	}
	for _, r := range results {
		if r := await(t, r, "a Start's end"); r.err != nil {
			t.Error(r.err)
		}
	}
	dialled := f.count("Subscribe")
	if _, err := m.Start(soon(t), "app.service"); err != nil {
		t.Error(err)
	}
	if n := f.count("Subscribe"); n != dialled {
		t.Errorf("%d connections more for the next Start", n-dialled)
	}
}

func TestSoftReboots(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	for sentence, c := range map[string]struct {
		value any
		want  uint64
		fails bool
	}{
		"systemd before 256 counts none": {nil, 0, false},
		"systemd 257 counts in a u":      {uint32(2), 2, false},
		"a wider count is taken":         {uint64(3), 3, false},
		"anything else is an error":      {"three", 0, true},
	} {
		t.Run(sentence, func(t *testing.T) {
			f.property("SoftRebootsCount", c.value)
			got, err := m.SoftReboots(soon(t))
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestErrorsThatPolicyKnows(t *testing.T) {
	t.Parallel()
	m, _ := newManager(t)
	settleReplies(t, m)
	for sentence, c := range map[string]struct {
		err, want error
	}{
		"nothing is nothing": {nil, nil},
		"the end of ctx stays what it is, though the bus may be gone too": {context.Canceled, context.Canceled},
		// godbus's reader may notice the end of the bus after a writer does.
		"a write to a bus that just died means no bus":   {&net.OpError{Op: "write", Err: syscall.EPIPE}, recover.ErrNoBus},
		"a reset by a bus that just died means no bus":   {&net.OpError{Op: "write", Err: syscall.ECONNRESET}, recover.ErrNoBus},
		"an end of the stream means no bus":              {io.EOF, recover.ErrNoBus},
		"a connection that was closed means no bus":      {dbus.ErrClosed, recover.ErrNoBus},
		"a socket that was closed below means no bus":    {net.ErrClosed, recover.ErrNoBus},
		"a destructive transaction means the host stops": {dbus.Error{Name: systemd + ".TransactionIsDestructive"}, recover.ErrGoingDown},
	} {
		t.Run(sentence, func(t *testing.T) {
			if got := m.link.explain(c.err); !errors.Is(got, c.want) {
				t.Errorf("%v became %v", c.err, got)
			}
		})
	}
	wrongType := dbus.Store([]any{"text"}, new(uint32))
	if err := m.link.explain(wrongType); errors.Is(err, recover.ErrNoBus) {
		t.Errorf("an answer of the wrong type became %v", err)
	}
}
