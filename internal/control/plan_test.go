package control

import (
	"os"
	"testing"

	"archy-recovery/internal/recover"
)

func TestPlanTellsWhatACrashWouldStart(t *testing.T) {
	t.Parallel()
	w := running()
	w.userStopped = []string{"other"}
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
