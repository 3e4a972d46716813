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

func TestPlanTellsWhatACrashWouldStart(t *testing.T) {
	t.Parallel()
	w := running()
	w.UserStopped = []string{"other"}
	d := newDaemon(t, w, os.Getuid()).run().ready()
	p, err := d.client.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Batches) != 1 || p.Batches[0].Containers[0].Name != "web" || p.Batches[0].Containers[0].State != recover.RowQueued {
		t.Errorf("batches %+v", p.Batches)
	}
	if p.NotStarted == nil || p.CriticalPath == nil || p.Unknown != 1 {
		t.Errorf("plan %+v", p)
	}
}

// Each plan asks systemd for every container: many at once would hold up what
// recovery asks.
func TestPlansDoNotHoldUpRecovery(t *testing.T) {
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
		t.Error("a plan for a client that has gone")
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
	if n, most := looks.Load(), 2+int64(time.Since(began)/dearEvery); n < 1 || n > most {
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
		t.Error("a plan after recovery is an old one")
	}
}
