package control

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	w := running()
	w.UserStopped = []string{"other"}
	d := newDaemon(t, w, os.Getuid()).run().ready()
	p, err := d.client.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Batches) != 1 || p.Batches[0].Containers[0].Name != "web" ||
		p.Batches[0].Containers[0].State != recover.RowQueued {
		t.Errorf("batches %+v", p.Batches)
	}
	if p.NotStarted == nil || p.CriticalPath == nil || p.Unknown != 1 {
		t.Errorf("plan %+v", p)
	}
}

// A plan asks systemd for the unit of every container. Many plans at once would
// delay what recovery asks.
func TestPlanDuringRecovery(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	w := crashed(release)
	d := newDaemon(t, w, os.Getuid()).run()
	for {
		st, changed := d.service.Status()
		if st.State == recover.Recovering {
			break
		}
		await(t, changed, "the beginning of recovery")
	}
	var looks atomic.Int64
	w.Set(func() { w.OnList = func() error { looks.Add(1); return nil } })
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := d.client.Plan(gone); err == nil {
		t.Error("a plan for a client that has left")
	}
	began := time.Now()
	var asking sync.WaitGroup
	for range 20 {
		asking.Go(func() {
			if p, err := d.client.Plan(t.Context()); err != nil || len(p.Batches) != 1 || len(p.Notes) > 0 {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
	asking.Wait()
	if n, most := looks.Load(), 2+int64(time.Since(began)/throttleInterval); n < 1 || n > most {
		t.Errorf("podman was asked %d times", n)
	}
	close(release)
	d.ready()
	was := looks.Load()
	for range 2 {
		if _, err := d.client.Plan(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if looks.Load()-was < 2 {
		t.Error("after recovery, a plan is not computed anew")
	}
}
