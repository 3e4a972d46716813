package daemon

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// A service that runs podman by a script makes its container at each boot, maybe only after
// the plan. The container is missing then, and active when it runs: at READY, or at a look.
func TestMissingIsFound(t *testing.T) {
	for name, beforeReady := range map[string]bool{"before READY": true, "after READY": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// READY waits for slow.
				h := recovertest.NewHost().Plain("slow", "exited").Ran("scripted", "gone", "slow")
				h.Marker = recovertest.Crashed
				h.Start["container-slow.service"] = recovertest.UpAfter(20 * time.Second)
				h.Changes = make(chan struct{})
				s := New(worldOf(h), recover.DefaultPolicy(), recovertest.Here)
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- s.Run(ctx) }()
				defer func() { stop(); <-ended }()
				stateOf := func(name string) recover.RowState {
					status, _ := s.Status()
					for _, row := range status.Recovery.Rows {
						if row.Name == name {
							return row.State
						}
					}
					return ""
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if got := stateOf("scripted"); got != recover.RowMissing {
					t.Fatalf("at the plan scripted is %q", got)
				}
				if beforeReady {
					h.Set(func() { // the looks after READY fail, so they cannot find it
						h.Plain("scripted", "running").OnList = func() error { return recovertest.ErrBroken }
					})
				}
				time.Sleep(20 * time.Second)
				synctest.Wait()
				if !beforeReady {
					h.Set(func() { h.Plain("scripted", "running") })
					h.Changes <- struct{}{}
					time.Sleep(time.Second)
					synctest.Wait()
				}
				if got := stateOf("scripted"); got != recover.RowActive {
					t.Errorf("scripted runs and is %q", got)
				}
				if got := stateOf("gone"); got != recover.RowMissing {
					t.Errorf("gone is %q", got)
				}
				status, _ := s.Status()
				if status.Now["scripted"] != recover.NowRunning {
					t.Errorf("scripted is now %q", status.Now["scripted"])
				}
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				reports, _ := s.Reports()
				for _, row := range reports[len(reports)-1].Rows {
					if row.Name == "scripted" && row.State != recover.RowActive {
						t.Errorf("in the history scripted is %q", row.State)
					}
				}
			})
		})
	}
}
