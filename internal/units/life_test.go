package units

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

// runs is the life of a service that was started.
var runs = recover.Life{State: recover.LifeRuns}

// invocation is the property Unit.InvocationID, and invocationID the same as the journal has it.
var invocation = []byte("0123456789abcdef")

const invocationID = "30313233343536373839616263646566"

// service returns properties of a service.
func service(result string, status int32, restarts uint32) map[string]any {
	return map[string]any{
		"Service.Result": result, "Service.ExecMainStatus": status, "Service.NRestarts": restarts,
		"Unit.InvocationID": invocation,
	}
}

// oneshot returns properties of a oneshot service with this main process.
func oneshot(pid uint32) map[string]any {
	return map[string]any{"Service.Type": "oneshot", "Service.MainPID": pid}
}

// A lifeResult is the result of an AwaitLife.
type lifeResult struct {
	life recover.Life
	err  error
}

// lifeAsync calls AwaitLife in a goroutine of its own.
func lifeAsync(ctx context.Context, m *Manager, last recover.Life) <-chan lifeResult {
	c := make(chan lifeResult, 1)
	go func() {
		life, err := m.AwaitLife(ctx, "app.service", last)
		c <- lifeResult{life, err}
	}()
	return c
}

// wantLife fails if the result is another life.
func wantLife(t *testing.T, c <-chan lifeResult, want recover.Life) {
	t.Helper()
	got := await(t, c, fmt.Sprintf("the life %+v", want))
	if diff := cmp.Diff(want, got.life); got.err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", got.err, diff)
	}
}

// TestLifeAtOnce checks the lives that AwaitLife returns without any signal, since the service has changed
// before the call.
func TestLifeAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		active, sub, job string
		props            map[string]any
		last, want       recover.Life
	}{
		"runs, first call":    {"active", "running", "", nil, recover.Life{}, runs},
		"reloads, first call": {"reloading", "reload", "", nil, recover.Life{}, runs},
		"oneshot runs":        {"activating", "start", "start", oneshot(7), recover.Life{}, runs},
		"failed before the call": {"failed", "failed", "", service("exit-code", 1, 0), runs,
			recover.Life{State: recover.LifeEnded, Result: "exit-code", ExitCode: 1, Invocation: invocationID}},
		"out of memory": {"failed", "failed", "", service("oom-kill", 9, 0), runs, recover.Life{
			State: recover.LifeEnded, Result: "oom-kill", ExitCode: 9, OOMKilled: true, Invocation: invocationID}},
		"oneshot ended": {"inactive", "dead", "", service("success", 0, 0), runs,
			recover.Life{State: recover.LifeEnded, Result: "success", Invocation: invocationID}},
		"unloaded": {"inactive", "dead", "", nil, runs, recover.Life{State: recover.LifeEnded}},
		"its main process is known": {"failed", "failed", "", map[string]any{"Service.ExecMainPID": uint32(77)}, runs,
			recover.Life{State: recover.LifeEnded, MainPID: 77}},
		"waits for its restart": {"activating", "auto-restart", "", service("exit-code", 2, 0), runs, recover.Life{
			State: recover.LifeRestarting, Result: "exit-code", ExitCode: 2, Invocation: invocationID}},
		"restart is queued": {"activating", "auto-restart-queued", "restart", service("exit-code", 2, 1), runs,
			recover.Life{State: recover.LifeRestarting, Restarts: 1, Result: "exit-code", ExitCode: 2,
				Invocation: invocationID}},
		"failed before its restart": {"failed", "failed-before-auto-restart", "", service("signal", 9, 0), runs,
			recover.Life{State: recover.LifeRestarting, Result: "signal", ExitCode: 9, Invocation: invocationID}},
		// The run that failed is gone, and so are its results.
		"restarted, runs again": {"active", "running", "", service("success", 0, 1), runs,
			recover.Life{State: recover.LifeRestarting, Restarts: 1}},
		"restarted, starts again": {"activating", "start", "", service("success", 0, 3),
			recover.Life{State: recover.LifeRestarting, Restarts: 2},
			recover.Life{State: recover.LifeRestarting, Restarts: 3}},
		"runs after its restart": {"active", "running", "", service("success", 0, 2),
			recover.Life{State: recover.LifeRestarting, Restarts: 2},
			recover.Life{State: recover.LifeRuns, Restarts: 2}},
		"started by hand after restarts": {"active", "running", "", nil,
			recover.Life{State: recover.LifeRuns, Restarts: 4}, runs},
		"given up after restarts": {"failed", "failed", "", service("exit-code", 3, 5),
			recover.Life{State: recover.LifeRestarting, Restarts: 5}, recover.Life{
				State: recover.LifeEnded, Restarts: 5, Result: "exit-code", ExitCode: 3, Invocation: invocationID}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			f.set("app.service", c.active, c.sub, c.props)
			f.begins("app.service", c.job)
			wantLife(t, lifeAsync(soon(t), m, c.last), c.want)
		})
	}
}

// TestLifeWaits checks the states in which AwaitLife waits, and that the next state ends the wait.
func TestLifeWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		active, sub, job string
		props            map[string]any
		last             recover.Life
	}{
		"still runs":              {"active", "running", "", nil, runs},
		"status notified":         {"active", "running", "", map[string]any{"Service.StatusText": "busy"}, runs},
		"reloads":                 {"reloading", "reload", "", nil, runs},
		"ends":                    {"deactivating", "stop-post", "", nil, runs},
		"starts, first call":      {"activating", "start", "", map[string]any{"Service.MainPID": uint32(7)}, recover.Life{}},
		"restarts by hand":        {"inactive", "dead", "restart", nil, runs},
		"starts by hand":          {"failed", "failed", "start", nil, runs},
		"oneshot still runs":      {"activating", "start", "start", oneshot(7), runs},
		"oneshot not yet running": {"activating", "start-pre", "start", oneshot(0), recover.Life{}},
		"restarting as before": {"activating", "auto-restart", "", service("exit-code", 1, 2),
			recover.Life{State: recover.LifeRestarting, Restarts: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			f.set("app.service", "active", "running", nil)
			if c.last.State != recover.LifeRuns {
				f.set("app.service", c.active, c.sub, c.props)
			}
			done := lifeAsync(soon(t), m, c.last)
			f.awaitCall("ListUnitsByNames")
			f.begins("app.service", c.job)
			f.become("app.service", c.active, c.sub, c.props)
			syncFeed(t, m)
			select {
			case got := <-done:
				t.Fatalf("AwaitLife returned %+v", got)
			default:
			}
			f.begins("app.service", "")
			f.become("app.service", "failed", "failed", service("exit-code", 1, 7))
			wantLife(t, done, recover.Life{
				State: recover.LifeEnded, Restarts: 7, Result: "exit-code", ExitCode: 1, Invocation: invocationID})
		})
	}
}

// syncFeed returns when the feed has read each signal that was sent, and its waits had the time to look.
func syncFeed(t *testing.T, m *Manager) {
	t.Helper()
	for range 3 {
		d, err := m.join(soon(t), "app.service")
		if err != nil {
			t.Fatal(err)
		}
		m.leave(d)
		if _, err := d.link.list(soon(t), "app.service"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// awaitStopping waits until a stop job of the unit was seen, or is forgotten.
func awaitStopping(t *testing.T, m *Manager, want bool) {
	t.Helper()
	syncFeed(t, m)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		m.feeds[0].mu.Lock()
		u := m.feeds[0].units["app.service"]
		done := u != nil && u.stopping == want
		m.feeds[0].mu.Unlock()
		if done {
			return
		}
	}
	t.Fatal("this did not happen: stopping is ", want)
}

func TestLifeStopped(t *testing.T) {
	t.Parallel()
	stopped := func(result string, status int) recover.Life {
		return recover.Life{State: recover.LifeStopped, Result: result, ExitCode: status}
	}
	for name, c := range map[string]struct {
		steps func(f *fakeSystemd, stopping func(bool))
		want  recover.Life
	}{
		"stop job": {func(f *fakeSystemd, stopping func(bool)) {
			f.begins("app.service", "stop")
			f.become("app.service", "inactive", "dead", service("success", 0, 0))
		}, stopped("success", 0)},
		"stop job, seen while the service ends": {func(f *fakeSystemd, stopping func(bool)) {
			f.change(func() { f.jobs["app.service"] = "stop" })
			f.become("app.service", "deactivating", "stop-sigterm", nil)
			stopping(true)
			f.begins("app.service", "")
			f.become("app.service", "failed", "failed", service("exit-code", 143, 0))
		}, stopped("exit-code", 143)},
		"ended by itself": {func(f *fakeSystemd, stopping func(bool)) {
			f.become("app.service", "deactivating", "stop-post", nil)
			stopping(false)
			f.become("app.service", "inactive", "dead", service("success", 0, 0))
		}, recover.Life{State: recover.LifeEnded, Result: "success", Invocation: invocationID}},
		"stop job that was canceled": {func(f *fakeSystemd, stopping func(bool)) {
			f.begins("app.service", "stop")
			stopping(true)
			f.begins("app.service", "start")
			stopping(false)
			f.begins("app.service", "")
			f.become("app.service", "failed", "failed", service("exit-code", 1, 0))
		}, recover.Life{State: recover.LifeEnded, Result: "exit-code", ExitCode: 1, Invocation: invocationID}},
		"restart by hand": {func(f *fakeSystemd, stopping func(bool)) {
			f.begins("app.service", "restart")
			f.become("app.service", "deactivating", "stop-sigterm", nil)
			stopping(false)
			f.become("app.service", "inactive", "dead", nil)
			stopping(false)
			f.begins("app.service", "start")
			f.become("app.service", "active", "running", nil)
			f.begins("app.service", "")
			stopping(false)
			f.become("app.service", "failed", "failed", service("exit-code", 1, 0))
		}, recover.Life{State: recover.LifeEnded, Result: "exit-code", ExitCode: 1, Invocation: invocationID}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			f.set("app.service", "active", "running", nil)
			done := lifeAsync(soon(t), m, runs)
			f.awaitCall("ListUnitsByNames")
			c.steps(f, func(want bool) { awaitStopping(t, m, want) })
			wantLife(t, done, c.want)
		})
	}
}

// TestLifeStopSeenBetweenCalls checks that a stop job is remembered from one call to the next.
func TestLifeStopSeenBetweenCalls(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("app.service", "deactivating", "stop-sigterm", nil)
	f.begins("app.service", "stop")
	ctx, cancel := context.WithCancel(soon(t))
	first := lifeAsync(ctx, m, runs)
	awaitStopping(t, m, true)
	cancel()
	if got := await(t, first, "the end of the canceled call"); !errors.Is(got.err, context.Canceled) {
		t.Errorf("got %+v", got)
	}
	f.begins("app.service", "")
	f.become("app.service", "inactive", "dead", service("success", 0, 0))
	wantLife(t, lifeAsync(soon(t), m, runs), recover.Life{State: recover.LifeStopped, Result: "success"})
}

// TestLifeRestartDirect follows a service whose ActiveState stays active, as with RestartMode=direct.
func TestLifeRestartDirect(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("app.service", "active", "running", nil)
	done := lifeAsync(soon(t), m, runs)
	f.awaitCall("ListUnitsByNames")
	f.become("app.service", "active", "running", service("success", 0, 1))
	again := recover.Life{State: recover.LifeRestarting, Restarts: 1}
	wantLife(t, done, again)
	up := recover.Life{State: recover.LifeRuns, Restarts: 1}
	wantLife(t, lifeAsync(soon(t), m, again), up)
	done = lifeAsync(soon(t), m, up)
	f.become("app.service", "activating", "start", service("success", 0, 2))
	wantLife(t, done, recover.Life{State: recover.LifeRestarting, Restarts: 2})
}

// TestLifeOneConnection checks that all waits share a connection, which ends some time after the last one.
func TestLifeOneConnection(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	const n = 50
	ctx, cancel := context.WithCancel(soon(t))
	var all sync.WaitGroup
	for i := range n {
		unit := fmt.Sprintf("app-%d.service", i)
		f.set(unit, "active", "running", nil)
		all.Go(func() {
			if _, err := m.AwaitLife(ctx, unit, runs); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", unit, err)
			}
		})
	}
	for range n {
		f.awaitCall("ListUnitsByNames")
	}
	if got := f.count("Subscribe"); got != 1 {
		t.Errorf("there are %d connections, want 1", got)
	}
	cancel()
	all.Wait()
	m.guard.Lock()
	defer m.guard.Unlock()
	if m.feeds[0].lease.users != 0 || m.feeds[0].lease.linger == nil {
		t.Errorf("%d waits are left, and the feed stays open", m.feeds[0].lease.users)
	}
}

// TestLifeStatusText checks that a service that only notifies its status is not looked at again.
func TestLifeStatusText(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("app.service", "active", "running", nil)
	ctx, cancel := context.WithCancel(soon(t))
	done := lifeAsync(ctx, m, runs)
	f.awaitCall("Get")
	for i := range 10 {
		f.become("app.service", "active", "running", map[string]any{"Service.StatusText": fmt.Sprint(i)})
		syncFeed(t, m) // so that a look is over before the next signal
	}
	// It looks at the beginning, and after the first signal of each interface.
	if n := f.count("Get"); n > 3 {
		t.Errorf("10 changes of the status cost %d looks", n-1)
	}
	cancel()
	await(t, done, "the end")
}

func TestLifeBusEnds(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	m, f := managerOn(t, b), newSystemd(t, b)
	f.set("app.service", "active", "running", nil)
	done := lifeAsync(soon(t), m, runs)
	f.awaitCall("Get")
	b.kill()
	if got := await(t, done, "the end of the bus"); !errors.Is(got.err, recover.ErrNoBus) {
		t.Errorf("got %+v", got)
	}
	if got := await(t, lifeAsync(soon(t), m, runs), "no bus"); !errors.Is(got.err, recover.ErrNoBus) {
		t.Errorf("got %+v", got)
	}
	b.run()
	f = newSystemd(t, b)
	f.set("app.service", "failed", "failed", service("exit-code", 1, 0))
	wantLife(t, lifeAsync(soon(t), m, runs), recover.Life{
		State: recover.LifeEnded, Result: "exit-code", ExitCode: 1, Invocation: invocationID})
}

func TestLifeRefusesNames(t *testing.T) {
	t.Parallel()
	m := New("unix:path=/nonexistent/bus", "", "")
	for _, unit := range append([]string{"podman.socket"}, invalidUnits...) {
		if _, err := m.AwaitLife(soon(t), unit, runs); err == nil || errors.Is(err, recover.ErrNoBus) {
			t.Errorf("%q: %v", unit, err)
		}
	}
	for _, id := range []string{"", "x", strings.Repeat("a", 63), strings.Repeat("a", 65), strings.Repeat("A", 64),
		"../" + strings.Repeat("a", 61), strings.Repeat("a", 64) + "\n"} {
		if err := m.AwaitScopeEnd(soon(t), id); err == nil || errors.Is(err, recover.ErrNoBus) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestScopeEnd(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("0f", 32)
	scope := "libpod-" + id + ".scope"
	for name, c := range map[string]struct {
		state string // "" before the call: it is not loaded
		ends  func(f *fakeSystemd)
	}{
		"not loaded": {"", nil},
		"inactive":   {"inactive", nil},
		"failed":     {"failed", nil},
		"ends later": {"active", func(f *fakeSystemd) { f.become(scope, "inactive", "dead", nil) }},
		"is unloaded later": {"deactivating", func(f *fakeSystemd) {
			f.set(scope, "inactive", "dead", nil)
			f.changed(scope)
			f.change(func() { delete(f.units, scope) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			if c.state != "" {
				f.set(scope, c.state, "", nil)
			}
			done := make(chan error, 1)
			go func() { done <- m.AwaitScopeEnd(soon(t), id) }()
			if c.ends != nil {
				f.awaitCall("Get")
				select {
				case err := <-done:
					t.Fatalf("AwaitScopeEnd returned early: %v", err)
				case <-time.After(20 * time.Millisecond):
				}
				c.ends(f)
			}
			if err := await(t, done, "the end of the scope"); err != nil {
				t.Error(err)
			}
			if n := f.count("LoadUnit") + f.count("ListUnitsByNames"); n != 0 {
				t.Errorf("%d calls load the scope", n)
			}
		})
	}
}

func TestStartJob(t *testing.T) {
	t.Parallel()
	started := recover.UnitState{Loaded: true, Active: "activating", Sub: "start"}
	for name, c := range map[string]struct {
		start func(f *fakeSystemd, c *startCall)
		want  recover.Outcome
	}{
		"main process runs": {func(f *fakeSystemd, c *startCall) {
			c.reply(f.newJob())
			f.become(c.unit, "activating", "start-pre", oneshot(0))
			f.become(c.unit, "activating", "start", oneshot(0))
			f.become(c.unit, "activating", "start", oneshot(7))
		}, recover.Outcome{UnitState: started}},
		"ended at once": {func(f *fakeSystemd, c *startCall) {
			job := f.newJob()
			c.reply(job)
			f.set(c.unit, "inactive", "dead", service("success", 0, 0))
			f.end(job, c.unit, "done")
		}, recover.Outcome{Job: "done", UnitState: recover.UnitState{Loaded: true, Active: "inactive", Sub: "dead"},
			Result: "success", Invocation: invocationID}},
		"failed at once": {func(f *fakeSystemd, c *startCall) {
			job := f.newJob()
			c.reply(job)
			f.become(c.unit, "failed", "failed", service("exit-code", 125, 0))
			f.end(job, c.unit, "failed")
		}, recover.Outcome{Job: "failed", UnitState: recover.UnitState{Loaded: true, Active: "failed", Sub: "failed"},
			Result: "exit-code", ExitStatus: 125, Invocation: invocationID}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			f.set("app.service", "inactive", "dead", oneshot(0))
			f.starts(func(call *startCall) { c.start(f, call) })
			got, err := m.StartJob(soon(t), "app.service")
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			checkNothingWaits(t, m)
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		m, f := newManager(t)
		f.starts(func(c *startCall) { c.refuse(systemd+".UnitMasked", "masked") })
		if _, err := m.StartJob(soon(t), "app.service"); !errors.Is(err, recover.ErrMasked) {
			t.Error(err)
		}
		if _, err := m.StartJob(soon(t), "no unit"); err == nil {
			t.Error("a name that is no unit was accepted")
		}
	})
	t.Run("context ends", func(t *testing.T) {
		t.Parallel()
		m, f := newManager(t)
		f.set("app.service", "activating", "start-pre", oneshot(0))
		called := make(chan bool, 1)
		f.starts(func(c *startCall) { c.reply(f.newJob()); called <- true })
		ctx, cancel := context.WithCancel(soon(t))
		go func() { <-called; cancel() }()
		if o, err := m.StartJob(ctx, "app.service"); !errors.Is(err, context.Canceled) {
			t.Errorf("%+v, %v", o, err)
		}
	})
}
