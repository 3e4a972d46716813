package control

import (
	"context"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

// Each boot comes with its end, and with the recovery that followed it.
func TestBoots(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	close(release)
	d := newDaemon(t, crashed(release), os.Getuid()).run().ready()
	answer, err := d.client.Boots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.Boots) != 2 {
		t.Fatalf("boots %+v", answer.Boots)
	}
	ended, now := answer.Boots[0], answer.Boots[1]
	if ended.Cause != recover.CausePowerLoss || ended.Evidence[0].Message != "the last words" ||
		ended.Recovery == nil || ended.Recovery.ID != 1 || ended.Recovery.BootID != "b2" ||
		!strings.HasPrefix(ended.Recovery.Summary, "complete") {
		t.Errorf("the boot that ended is %+v, its recovery %+v", ended, ended.Recovery)
	}
	if now.Index != 0 || now.Cause != "" || now.Recovery != nil {
		t.Errorf("the running boot is %+v", now)
	}
}

// A list of boots has the journal walked through. Many lists at once, or one during
// recovery, would slow down the host.
func TestBootsReadJournalSeldom(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	d := newDaemon(t, crashed(release), os.Getuid())
	var reads atomic.Int64
	d.list.Store(func(ctx context.Context, n int) ([]recover.Boot, error) {
		reads.Add(1)
		if n != bootsListed {
			t.Errorf("%d boots were asked for", n)
		}
		return listedBoots(ctx, n)
	})
	d.run()
	_, err := d.client.Boots(t.Context())
	if err == nil || err.Error() != errBootsLater.Error() || reads.Load() > 0 {
		t.Errorf("before READY: %v, and the journal was read %d times", err, reads.Load())
	}
	close(release)
	d.ready()
	began := time.Now()
	var asking sync.WaitGroup
	for range 20 {
		asking.Go(func() {
			if answer, err := d.client.Boots(t.Context()); err != nil || len(answer.Boots) != 2 {
				t.Errorf("%+v, %v", answer, err)
			}
		})
	}
	asking.Wait()
	if n, most := reads.Load(), 2+int64(time.Since(began)/throttleInterval); n < 1 || n > most {
		t.Errorf("the journal was read %d times", n)
	}
}

func TestRecoveriesAfterBoots(t *testing.T) {
	t.Parallel()
	boots := []recover.Boot{{BootID: "a"}, {BootID: "b"}, {BootID: "c"}}
	at := time.Unix(1_700_000_000, 0)
	ended := EndedBoots(boots, []recover.Report{
		{ID: 1, BootID: "b", Verdict: recover.Verdict{Previous: &recover.Identity{BootID: "a"}},
			Started: at, Finished: at.Add(1500 * time.Millisecond)},
		{ID: 2, BootID: "c", Started: at}, // not finished
	})
	want := []*BootRecovery{
		{ID: 1, BootID: "b", TookSeconds: 1.5, Summary: "complete: nothing to start"},
		{ID: 2, BootID: "c", Summary: "complete: nothing to start"},
		nil,
	}
	for i, e := range ended {
		if diff := cmp.Diff(want[i], e.Recovery); diff != "" {
			t.Errorf("after boot %s (-want +got):\n%s", e.BootID, diff)
		}
	}
}
