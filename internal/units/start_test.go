package units

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// The ends of a job that systemd has, with what the unit says after each.
func TestStartTellsWhatBecameOfTheJobAndTheUnit(t *testing.T) {
	t.Parallel()
	loaded := func(active, sub string) recover.UnitState {
		return recover.UnitState{Loaded: true, Active: active, Sub: sub}
	}
	for sentence, c := range map[string]struct {
		job, active, sub string
		props            map[string]any
		want             recover.Outcome
	}{
		"a job that is done leaves the unit active": {
			"done", "active", "running", nil,
			recover.Outcome{Job: "done", UnitState: loaded("active", "running")},
		},
		"a failed job tells the exit status": {
			"failed", "failed", "failed", map[string]any{"Service.Result": "exit-code", "Service.ExecMainStatus": int32(125)},
			recover.Outcome{Job: "failed", UnitState: loaded("failed", "failed"), Result: "exit-code", ExitStatus: 125},
		},
		"a failed job whose unit restarts itself shows the restart": {
			"failed", "activating", "auto-restart", map[string]any{"Service.Result": "signal", "Service.ExecMainStatus": int32(9)},
			recover.Outcome{Job: "failed", UnitState: loaded("activating", "auto-restart"), Result: "signal", ExitStatus: 9},
		},
		"a job that timed out leaves the unit on its way": {
			"timeout", "activating", "start", map[string]any{"Service.Result": "success", "Service.ExecMainStatus": int32(0)},
			recover.Outcome{Job: "timeout", UnitState: loaded("activating", "start"), Result: "success"},
		},
		"a job whose dependency failed leaves the unit inactive": {
			"dependency", "inactive", "dead", map[string]any{"Service.Result": "success", "Service.ExecMainStatus": int32(0), "Unit.ConditionResult": false},
			recover.Outcome{Job: "dependency", UnitState: loaded("inactive", "dead"), Result: "success"},
		},
		"a canceled job is told as such": {
			"canceled", "inactive", "dead", map[string]any{"Service.Result": "success", "Service.ExecMainStatus": int32(0)},
			recover.Outcome{Job: "canceled", UnitState: loaded("inactive", "dead"), Result: "success"},
		},
		"a job that is done although the condition was not met is no start": {
			"done", "inactive", "dead", map[string]any{"Service.Result": "success", "Service.ExecMainStatus": int32(0), "Unit.ConditionResult": false},
			recover.Outcome{Job: "done", UnitState: loaded("inactive", "dead"), Result: "success", ConditionFailed: true},
		},
		"a oneshot that is done and inactive had its condition met": {
			"done", "inactive", "dead", map[string]any{"Service.Result": "success", "Service.ExecMainStatus": int32(0), "Unit.ConditionResult": true},
			recover.Outcome{Job: "done", UnitState: loaded("inactive", "dead"), Result: "success"},
		},
		"a unit that tells nothing of its service still tells its state": {
			"failed", "failed", "failed", nil,
			recover.Outcome{Job: "failed", UnitState: loaded("failed", "failed")},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			f.starts(func(call *startCall) {
				job := f.newJob()
				call.reply(job)
				f.set(call.unit, c.active, c.sub, c.props)
				f.end(job, call.unit, c.job)
			})
			got, err := m.Start(soon(t), "app.service")
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// systemd may forget a unit that was over at once, and what it says of one that
// it loaded anew is no answer. Only for one with conditions it is kept from that.
func TestOnlyAUnitWithConditionsIsHeld(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		conditions []condition
		held       int
	}{
		"with conditions":    {[]condition{{Type: "ConditionPathExists", Parameter: "/mnt/data"}}, 1},
		"without conditions": {nil, 0},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			props := map[string]any{"Unit.Conditions": c.conditions, "Service.Result": "success", "Service.ExecMainStatus": int32(0), "Unit.ConditionResult": false}
			f.set("app.service", "inactive", "dead", props)
			f.starts(func(call *startCall) {
				job := f.newJob()
				call.reply(job)
				f.end(job, call.unit, "done")
			})
			o, err := m.Start(soon(t), "app.service")
			if err != nil || o.ConditionFailed != (c.held > 0) || f.count("RefUnit") != c.held {
				t.Errorf("%+v, %v; held %d times", o, err, f.count("RefUnit"))
			}
			settleReplies(t, m)
			if f.count("UnrefUnit") != c.held {
				t.Errorf("let go %d times", f.count("UnrefUnit"))
			}
			nobodyHolds(t, f)
		})
	}
}

func TestStartHearsTheEndOfItsJob(t *testing.T) {
	t.Parallel()
	for sentence, answer := range map[string]func(f *fakeSystemd, c *startCall, job dbus.ObjectPath){
		"when JobRemoved comes after the reply": func(f *fakeSystemd, c *startCall, job dbus.ObjectPath) {
			c.reply(job)
			f.end(job, c.unit, "failed")
		},
		"when JobRemoved comes before the reply": func(f *fakeSystemd, c *startCall, job dbus.ObjectPath) {
			f.end(job, c.unit, "failed")
			c.reply(job)
		},
		"when JobRemoved comes twice": func(f *fakeSystemd, c *startCall, job dbus.ObjectPath) {
			c.reply(job)
			f.end(job, c.unit, "failed")
			f.end(job, c.unit, "done")
		},
		"when JobRemoved comes before and after the reply": func(f *fakeSystemd, c *startCall, job dbus.ObjectPath) {
			f.end(job, c.unit, "failed")
			c.reply(job)
			f.end(job, c.unit, "failed")
		},
		"when other jobs end too, also of the same unit": func(f *fakeSystemd, c *startCall, job dbus.ObjectPath) {
			f.end(f.newJob(), "other.service", "done")
			f.end(f.newJob(), c.unit, "canceled")
			c.reply(job)
			f.end(f.newJob(), c.unit, "done")
			f.end(job, c.unit, "failed")
		},
		"when a signal of the same name makes no sense": func(f *fakeSystemd, c *startCall, job dbus.ObjectPath) {
			c.reply(job)
			_ = f.conn.Emit(managerPath, managerIfc+".JobRemoved", "nonsense")
			_ = f.conn.Emit(managerPath, managerIfc+".UnitNew", c.unit, job)
			f.end(job, c.unit, "failed")
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			f.starts(func(c *startCall) {
				f.set(c.unit, "failed", "failed", nil)
				answer(f, c, f.newJob())
			})
			for range 20 { // the two ways through the process race
				o, err := m.Start(soon(t), "app.service")
				if err != nil || o.Job != "failed" {
					t.Fatalf("got %+v, %v", o, err)
				}
			}
			nothingKept(t, m)
		})
	}
}

// nothingKept checks that no job is remembered while no Start is under way.
func nothingKept(t *testing.T, m *Manager) {
	t.Helper()
	settleReplies(t, m)
	m.link.mu.Lock()
	defer m.link.mu.Unlock()
	if m.link.calls != 0 || len(m.link.waiting) != 0 || len(m.link.early) != 0 {
		t.Errorf("kept: %d calls, waiting %v, early %v", m.link.calls, m.link.waiting, m.link.early)
	}
}

func TestTwoStartsOfOneUnitShareAJobAndBothHearItsEnd(t *testing.T) {
	t.Parallel()
	for sentence, answer := range map[string]func(f *fakeSystemd, calls []*startCall, job dbus.ObjectPath){
		"after both replies": func(f *fakeSystemd, calls []*startCall, job dbus.ObjectPath) {
			calls[0].reply(job)
			calls[1].reply(job)
			f.end(job, "app.service", "done")
		},
		"before both replies": func(f *fakeSystemd, calls []*startCall, job dbus.ObjectPath) {
			f.end(job, "app.service", "done")
			calls[0].reply(job)
			calls[1].reply(job)
		},
		"between the replies": func(f *fakeSystemd, calls []*startCall, job dbus.ObjectPath) {
			calls[1].reply(job)
			f.end(job, "app.service", "done")
			calls[0].reply(job)
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			f.set("app.service", "active", "running", nil)
			var calls []*startCall
			f.starts(func(c *startCall) {
				if calls = append(calls, c); len(calls) == 2 {
					answer(f, calls, f.newJob())
				}
			})
			ctx := soon(t)
			one, two := startAside(ctx, m, "app.service"), startAside(ctx, m, "app.service")
			for _, c := range []<-chan startResult{one, two} {
				if r := await(t, c, "a Start's end"); r.err != nil || r.outcome.Job != "done" {
					t.Errorf("got %+v, %v", r.outcome, r.err)
				}
			}
			nothingKept(t, m)
		})
	}
}

func TestOneOfTwoStartsMayGiveUpOnTheSharedJob(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("app.service", "active", "running", nil)
	job := f.newJob()
	called := make(chan struct{}, 2)
	f.starts(func(c *startCall) {
		c.reply(job)
		called <- struct{}{}
	})
	impatient, giveUp := context.WithCancel(t.Context())
	one, two := startAside(impatient, m, "app.service"), startAside(soon(t), m, "app.service")
	await(t, called, "the first call")
	await(t, called, "the second call")
	settleReplies(t, m)
	giveUp()
	if r := await(t, one, "the end of the one that gave up"); !errors.Is(r.err, context.Canceled) {
		t.Errorf("the one that gave up got %+v, %v", r.outcome, r.err)
	}
	f.end(job, "app.service", "done")
	if r := await(t, two, "the end of the patient one"); r.err != nil || r.outcome.Job != "done" {
		t.Errorf("the patient one got %+v, %v", r.outcome, r.err)
	}
	nothingKept(t, m)
}

// Not parallel: it looks at all goroutines.
func TestAReplyThatNeverComesHoldsUpNothingButItsOwnCall(t *testing.T) {
	m, f := newManager(t)
	settleReplies(t, m) // connected: what runs now may stay
	running := goleak.IgnoreCurrent()

	hung := make(chan struct{})
	f.starts(func(c *startCall) {
		if c.unit == "hung.service" {
			close(hung)
			return
		}
		works(c)
	})
	ctx, cancel := context.WithCancel(t.Context())
	result := startAside(ctx, m, "hung.service")
	await(t, hung, "the call that gets no reply")

	if o, err := m.Start(soon(t), "other.service"); err != nil || o.Active != "active" {
		t.Errorf("another Start meanwhile: %+v, %v", o, err)
	}
	select {
	case r := <-result:
		t.Fatalf("the Start without a reply ended by itself: %+v, %v", r.outcome, r.err)
	default:
	}
	cancel()
	if r := await(t, result, "the end with ctx"); !errors.Is(r.err, context.Canceled) {
		t.Errorf("got %+v, %v", r.outcome, r.err)
	}
	nothingKept(t, m)
	goleak.VerifyNone(t, running)
}

func TestStartEndsWithItsDeadline(t *testing.T) {
	t.Parallel()
	for sentence, answer := range map[string]func(*fakeSystemd, *startCall){
		"when the reply never comes":     func(*fakeSystemd, *startCall) {},
		"when JobRemoved never comes":    func(f *fakeSystemd, c *startCall) { c.reply(f.newJob()) },
		"when only others' jobs do end":  func(f *fakeSystemd, c *startCall) { c.reply(f.newJob()); f.end(f.newJob(), c.unit, "done") },
		"when the end came before asked": func(f *fakeSystemd, c *startCall) { f.end(f.newJob(), c.unit, "done"); c.reply(f.newJob()) },
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			settleReplies(t, m)
			f.starts(func(c *startCall) { answer(f, c) })
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if o, err := m.Start(ctx, "app.service"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, recover.ErrNoBus) {
				t.Errorf("got %+v, %v", o, err)
			}
			nothingKept(t, m)
		})
	}
}

func TestStartEndsWhenTheBusDies(t *testing.T) {
	t.Parallel()
	for sentence, replies := range map[string]bool{
		"while it waits for the job":   true,
		"while it waits for the reply": false,
	} {
		t.Run(sentence, func(t *testing.T) {
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
			result := startAside(soon(t), m, "app.service")
			await(t, called, "the call")
			settleReplies(t, m)
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
				t.Errorf("with the bus back: %+v, %v", o, err)
			}
		})
	}
}

func TestStartIsRefused(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	for sentence, c := range map[string]struct {
		name, text string
		want       error // nil: an error that policy has no word for
	}{
		"since the host is going down": {
			systemd + ".TransactionIsDestructive", "Transaction is destructive", recover.ErrGoingDown},
		"since the unit is unknown": {
			systemd + ".NoSuchUnit", "Unit app.service not found.", nil},
		"since systemd left the bus": {
			"org.freedesktop.DBus.Error.NoReply", "Message recipient disconnected from message bus without replying", nil},
	} {
		t.Run(sentence, func(t *testing.T) {
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
			nothingKept(t, m)
		})
	}
}

func TestStartRefusesWhatIsNoUnitName(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	for _, name := range badUnitNames {
		if _, err := m.Start(soon(t), name); err == nil {
			t.Errorf("%q was started", name)
		}
	}
	if n := f.count("StartUnit"); n > 0 {
		t.Errorf("%d calls reached systemd", n)
	}
}

var badUnitNames = []string{
	"", "app", ".service", "app.target", "app.service.wants", "../app.service", "a/b.service", "a b.service",
	"äpp.service", "app.service\n", "@.service", "@x.service", "app@.service", "app@.socket",
	strings.Repeat("a", 256-len(".service")) + ".service",
}

func TestAJobThatWaitsForOursIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	const own = "archy-recovery.service"
	job := func(id uint32, unit string) fakeJob {
		return fakeJob{id, unit, "start", "waiting", dbus.ObjectPath(fmt.Sprintf("/job/%d", id)), unitPath(unit)}
	}
	for sentence, c := range map[string]struct {
		ownUnit string
		before  map[dbus.ObjectPath][]fakeJob
		waits   bool
	}{
		"directly": {own, map[dbus.ObjectPath][]fakeJob{
			"/job/1": {job(2, "db.service"), job(9, own)},
		}, true},
		"through two other jobs": {own, map[dbus.ObjectPath][]fakeJob{
			"/job/1": {job(2, "db.service"), job(3, "late.target")},
			"/job/3": {job(4, "later.target")},
			"/job/4": {job(9, own)},
		}, true},
		"though jobs wait for each other in a circle": {own, map[dbus.ObjectPath][]fakeJob{
			"/job/1": {job(2, "a.service")},
			"/job/2": {job(3, "b.service"), job(1, "app.service")},
			"/job/3": {job(2, "a.service"), job(9, own)},
		}, true},
		"but one that waits for others is": {own, map[dbus.ObjectPath][]fakeJob{
			"/job/1": {job(2, "a.service")},
			"/job/2": {job(1, "app.service")},
		}, false},
		"but where this manager does not run us it is": {"", map[dbus.ObjectPath][]fakeJob{
			"/job/1": {job(9, own)},
		}, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			m.ownUnit = c.ownUnit
			f.change(func() { f.before = c.before })
			f.set("app.service", "active", "running", nil)
			ctx, cancel := context.WithTimeout(t.Context(), jobCheckDelay+20*time.Second)
			defer cancel()
			f.starts(func(call *startCall) {
				call.reply("/job/1")
				if !c.waits { // it ends well after the check
					time.AfterFunc(jobCheckDelay+200*time.Millisecond, func() { f.end("/job/1", call.unit, "done") })
				}
			})
			o, err := m.Start(ctx, "app.service")
			if c.waits && !errors.Is(err, recover.ErrOrderedAfterUs) || !c.waits && (err != nil || o.Job != "done") {
				t.Errorf("got %+v, %v", o, err)
			}
		})
	}
}

func TestAHundredStartsAtOnceHearEachItsOwnEnd(t *testing.T) {
	t.Parallel()
	const n = 100
	results := []string{"done", "failed", "timeout", "dependency", "canceled", "skipped"}
	m, f := newManager(t)
	want := map[string]string{}
	var steps []func()
	f.starts(func(c *startCall) {
		job, result := f.newJob(), results[rand.N(len(results))]
		want[c.unit] = result
		f.set(c.unit, "active", "running", nil)
		steps = append(steps, func() { c.reply(job) }, func() { f.end(job, c.unit, result) })
		if len(steps) < 2*n {
			return
		}
		// All are called: replies and ends in any order.
		rand.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		for _, step := range steps {
			step()
		}
	})
	ctx := soon(t)
	var (
		all sync.WaitGroup
		mu  sync.Mutex
		got = map[string]string{}
	)
	for i := range n {
		all.Go(func() {
			unit := fmt.Sprintf("app-%d.service", i)
			o, err := m.Start(ctx, unit)
			mu.Lock()
			defer mu.Unlock()
			if got[unit] = o.Job; err != nil {
				t.Errorf("%s: %v", unit, err)
			}
		})
	}
	all.Wait()
	settleReplies(t, m) // orders what the fake wrote before what is read here
	f.mu.Lock()
	defer f.mu.Unlock()
	for unit, result := range want {
		if got[unit] != result {
			t.Errorf("%s ended %q, heard was %q", unit, result, got[unit])
		}
	}
}
