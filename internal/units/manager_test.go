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

func TestStates(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("db.service", "active", "running", nil)
	f.set("web.service", "failed", "failed", nil)
	f.change(func() {
		f.aliases["postgres.service"] = "db.service"
		f.units["odd.service"] = &fakeUnit{load: "masked", active: "inactive", sub: "dead"}
	})

	asked := append([]string{
		"postgres.service", "web.service", "gone.service", "db.service", "odd.service", "db.service",
	}, invalidUnits...)
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
	for _, bad := range invalidUnits {
		if slices.Contains(f.lastQuery, bad) {
			t.Errorf("systemd was asked for %q", bad)
		}
	}
}

// Of the targets only those are asked for that tell where a boot stands. A container may name any as its unit.
func TestStatesOfTargets(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("shutdown.target", "inactive", "dead", nil)
	f.set("sockets.target", "active", "active", nil)
	f.set("poweroff.target", "inactive", "dead", nil)
	got, err := m.States(soon(t), []string{"shutdown.target", "sockets.target", "multi-user.target", "poweroff.target"})
	if err != nil || len(got) != 3 || got["sockets.target"].Active != "active" || !got["shutdown.target"].Loaded {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestStatesEmpty asks for no valid unit, which needs no bus.
func TestStatesEmpty(t *testing.T) {
	t.Parallel()
	m := New("unix:path=/nonexistent/bus", "", "")
	if got, err := m.States(soon(t), []string{"no unit", ""}); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestNoBus(t *testing.T) {
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

func TestBusWithoutSystemd(t *testing.T) {
	t.Parallel()
	m := managerOn(t, newBus(t))
	if _, err := m.Start(soon(t), "app.service"); !errors.Is(err, recover.ErrNoBus) {
		t.Errorf("got %v", err)
	}
}

// TestBusMute connects to a bus that accepts connections and never answers. It is not parallel, since it
// checks all goroutines.
func TestBusMute(t *testing.T) {
	running := goleak.IgnoreCurrent()
	path := filepath.Join(t.TempDir(), "bus")
	mute, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close() // it accepts none; the kernel keeps them in the backlog
	m := New("unix:path="+path, "", "")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = m.Start(ctx, "app.service")
	if !errors.Is(err, recover.ErrNoBus) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	goleak.VerifyNone(t, running) // the bus still listens
}

func TestOneConnection(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	results := make([]<-chan startResult, 8)
	for i := range results {
		results[i] = startAsync(soon(t), m, "app.service")
	}
	for _, r := range results {
		if r := await(t, r, "a Start's end"); r.err != nil {
			t.Error(r.err)
		}
	}
	connections := f.count("Subscribe")
	if _, err := m.Start(soon(t), "app.service"); err != nil {
		t.Error(err)
	}
	if n := f.count("Subscribe"); n != connections {
		t.Errorf("the next Start makes %d connections", n-connections)
	}
}

func TestSoftReboots(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	for name, c := range map[string]struct {
		value any
		want  uint64
		fails bool
	}{
		"systemd before 256": {nil, 0, false},
		"systemd 257":        {uint32(2), 2, false},
		"64-bit number":      {uint64(3), 3, false},
		"text":               {"three", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			f.property("SoftRebootsCount", c.value)
			got, err := m.SoftReboots(soon(t))
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	m, _ := newManager(t)
	syncReplies(t, m)
	for name, c := range map[string]struct {
		err, want error
	}{
		"no error": {nil, nil},
		"canceled": {context.Canceled, context.Canceled},
		// A write may fail before godbus's reader sees the end of the bus.
		"broken pipe":             {&net.OpError{Op: "write", Err: syscall.EPIPE}, recover.ErrNoBus},
		"connection reset":        {&net.OpError{Op: "write", Err: syscall.ECONNRESET}, recover.ErrNoBus},
		"end of stream":           {io.EOF, recover.ErrNoBus},
		"closed connection":       {dbus.ErrClosed, recover.ErrNoBus},
		"closed socket":           {net.ErrClosed, recover.ErrNoBus},
		"destructive transaction": {dbus.Error{Name: systemd + ".TransactionIsDestructive"}, recover.ErrGoingDown},
	} {
		t.Run(name, func(t *testing.T) {
			if got := m.link.explain(c.err); !errors.Is(got, c.want) {
				t.Errorf("%v is explained as %v, want %v", c.err, got, c.want)
			}
		})
	}
	wrongType := dbus.Store([]any{"text"}, new(uint32))
	if err := m.link.explain(wrongType); errors.Is(err, recover.ErrNoBus) {
		t.Errorf("an answer of the wrong type is explained as %v", err)
	}
}
