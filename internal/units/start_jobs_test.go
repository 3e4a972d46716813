package units

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// TestStartJobRemoved sends the signal JobRemoved at different times.
func TestStartJobRemoved(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(f *fakeSystemd, c *startCall, job dbus.ObjectPath){
		"after the reply": func(f *fakeSystemd, c *startCall, job dbus.ObjectPath) {
			c.reply(job)
			f.end(job, c.unit, "failed")
		},
		"before the reply": func(f *fakeSystemd, c *startCall, job dbus.ObjectPath) {
			f.end(job, c.unit, "failed")
			c.reply(job)
		},
		"twice": func(f *fakeSystemd, c *startCall, job dbus.ObjectPath) {
			c.reply(job)
			f.end(job, c.unit, "failed")
			f.end(job, c.unit, "done")
		},
		"before and after the reply": func(f *fakeSystemd, c *startCall, job dbus.ObjectPath) {
			f.end(job, c.unit, "failed")
			c.reply(job)
			f.end(job, c.unit, "failed")
		},
		"other jobs of the unit too": func(f *fakeSystemd, c *startCall, job dbus.ObjectPath) {
			f.end(f.newJob(), "other.service", "done")
			f.end(f.newJob(), c.unit, "canceled")
			c.reply(job)
			f.end(f.newJob(), c.unit, "done")
			f.end(job, c.unit, "failed")
		},
		"malformed signal too": func(f *fakeSystemd, c *startCall, job dbus.ObjectPath) {
			c.reply(job)
			_ = f.conn.Emit(managerPath, managerIfc+".JobRemoved", "nonsense")
			_ = f.conn.Emit(managerPath, managerIfc+".UnitNew", c.unit, job)
			f.end(job, c.unit, "failed")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			f.starts(func(c *startCall) {
				f.set(c.unit, "failed", "failed", nil)
				answer(f, c, f.newJob())
			})
			for range 20 { // the reply and the signal race
				o, err := m.Start(soon(t), "app.service")
				if err != nil || o.Job != "failed" {
					t.Fatalf("got %+v, %v", o, err)
				}
			}
			checkNothingWaits(t, m)
		})
	}
}

// TestStartSharedJob starts a unit twice, and both starts get the end of the same job.
func TestStartSharedJob(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(f *fakeSystemd, calls []*startCall, job dbus.ObjectPath){
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
		t.Run(name, func(t *testing.T) {
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
			one, two := startAsync(ctx, m, "app.service"), startAsync(ctx, m, "app.service")
			for _, c := range []<-chan startResult{one, two} {
				if r := await(t, c, "a Start's end"); r.err != nil || r.outcome.Job != "done" {
					t.Errorf("got %+v, %v", r.outcome, r.err)
				}
			}
			checkNothingWaits(t, m)
		})
	}
}

func TestStartSharedJobCanceled(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.set("app.service", "active", "running", nil)
	job := f.newJob()
	called := make(chan struct{}, 2)
	f.starts(func(c *startCall) {
		c.reply(job)
		called <- struct{}{}
	})
	canceled, cancel := context.WithCancel(t.Context())
	one, two := startAsync(canceled, m, "app.service"), startAsync(soon(t), m, "app.service")
	await(t, called, "the first call")
	await(t, called, "the second call")
	syncReplies(t, m)
	cancel()
	if r := await(t, one, "the end of the canceled Start"); !errors.Is(r.err, context.Canceled) {
		t.Errorf("the canceled Start got %+v, %v", r.outcome, r.err)
	}
	f.end(job, "app.service", "done")
	if r := await(t, two, "the end of the other Start"); r.err != nil || r.outcome.Job != "done" {
		t.Errorf("the other Start got %+v, %v", r.outcome, r.err)
	}
	checkNothingWaits(t, m)
}

// TestStartWaitsForUs starts units whose job may wait for the job of archy-recovery itself.
func TestStartWaitsForUs(t *testing.T) {
	t.Parallel()
	const own = "archy-recovery.service"
	job := func(id uint32, unit string) fakeJob {
		return fakeJob{id, unit, "start", "waiting", dbus.ObjectPath(fmt.Sprintf("/job/%d", id)), unitPath(unit)}
	}
	for name, c := range map[string]struct {
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
		"cyclic jobs": {own, map[dbus.ObjectPath][]fakeJob{
			"/job/1": {job(2, "a.service")},
			"/job/2": {job(3, "b.service"), job(1, "app.service")},
			"/job/3": {job(2, "a.service"), job(9, own)},
		}, true},
		"waits for other jobs only": {own, map[dbus.ObjectPath][]fakeJob{
			"/job/1": {job(2, "a.service")},
			"/job/2": {job(1, "app.service")},
		}, false},
		"archy-recovery is no unit of this manager": {"", map[dbus.ObjectPath][]fakeJob{
			"/job/1": {job(9, own)},
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			m.ownUnit = c.ownUnit
			f.change(func() { f.before = c.before })
			f.set("app.service", "active", "running", nil)
			ctx, cancel := context.WithTimeout(t.Context(), jobCheckDelay+20*time.Second)
			defer cancel()
			f.starts(func(call *startCall) {
				call.reply("/job/1")
				if !c.waits { // the job ends after the check
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

// TestStartParallel starts a hundred units at once, with replies and ends in random order.
func TestStartParallel(t *testing.T) {
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
		// All calls have arrived.
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
	syncReplies(t, m) // the fake's writes happen before the reads below
	f.mu.Lock()
	defer f.mu.Unlock()
	for unit, result := range want {
		if got[unit] != result {
			t.Errorf("the job of %s is %q, but Start returns %q", unit, result, got[unit])
		}
	}
}
