package daemon

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// After a clean stop, podman that fails for a while does not drop the containers of the
// clean-boot list.
func TestCleanBootListSurvivesPodmanErrors(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(h *recovertest.Host)
		want    map[string]recover.RowState
	}{
		"its list fails once": {func(h *recovertest.Host) {
			failures := 1
			h.OnList = func() error {
				if failures--; failures >= 0 {
					return recovertest.ErrBroken
				}
				return nil
			}
		}, map[string]recover.RowState{"plain": recover.RowUp}},
		"its list always fails": {func(h *recovertest.Host) {
			h.OnList = func() error { return recovertest.ErrBroken }
		}, map[string]recover.RowState{"plain": recover.RowUp}},
		"it answers nothing for a while": {func(h *recovertest.Host) {
			h.PodmanErr = recovertest.ErrBroken
			time.AfterFunc(8*time.Second, func() { h.Set(func() { h.PodmanErr = nil }) })
		}, map[string]recover.RowState{"plain": recover.RowUp, "none": recover.RowSkipped}},
		"it answers nothing": {func(h *recovertest.Host) { h.PodmanErr = recovertest.ErrBroken },
			map[string]recover.RowState{"plain": recover.RowFailed, "none": recover.RowFailed}},
	} {
		t.Run(name, func(t *testing.T) {
			h := recovertest.NewHost().Plain("plain", "exited").Plain("other", "exited")
			p := recover.DefaultPolicy()
			p.CleanBootList = recover.Patterns{"plain", "none", "pattern*"}
			var report recover.Report
			synctest.Test(t, func(t *testing.T) {
				c.prepare(h)
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				service := newService(h, p)
				go func() { done <- service.Run(ctx) }()
				untilReady(service)
				st, _ := service.Status()
				report = st.Recovery
				stop()
				<-done
			})
			if diff := cmp.Diff(c.want, states(report)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
