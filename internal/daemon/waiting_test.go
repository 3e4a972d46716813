package daemon

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// needs fails for want of other units.
func needs(blockers ...string) recover.Outcome {
	return recover.Outcome{Job: "dependency", UnitState: recover.UnitState{Loaded: true, Active: "inactive"},
		Blockers: blockers}
}

func TestMountMissing(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(h *recovertest.Host)
		want    []string
		row     recover.RowState
		errs    string
	}{
		"a bind mount's source": {
			func(h *recovertest.Host) {
				h.Binds = map[string][]string{"db": {"/mnt/data/db"}}
				time.AfterFunc(30*time.Second, func() { close(h.Mounted) })
			}, []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 waiting db 0",
				" 30.0 starting db 1", " 30.0 up db 1", " 30.0 tier-settled 0",
				" 30.0 tier-started 1", " 30.0 starting app 1", " 30.0 up app 1", " 30.0 tier-settled 1",
			}, recover.RowUp, ""},
		"the device of a named volume": {
			func(h *recovertest.Host) {
				h.Volumes = map[string][]string{"db.service": {"own", "pgdata"}}
				h.Devices = map[string]string{"pgdata": "/mnt/data/pg"}
				time.AfterFunc(30*time.Second, func() { close(h.Mounted) })
			}, []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 waiting db 0",
				" 30.0 starting db 1", " 30.0 up db 1", " 30.0 tier-settled 0",
				" 30.0 tier-started 1", " 30.0 starting app 1", " 30.0 up app 1", " 30.0 tier-settled 1",
			}, recover.RowUp, ""},
		"what its unit needs, and for longer than a tier may wait": {
			func(h *recovertest.Host) {
				h.Needed = map[string][]string{"db.service": {"/mnt/data"}}
				time.AfterFunc(200*time.Second, func() { close(h.Mounted) })
			}, []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 waiting db 0", " 60.0 tier-late 0",
				" 60.0 tier-started 1", " 60.0 starting app 1", " 60.0 up app 1", " 60.0 tier-settled 1",
				"200.0 starting db 1", "200.0 up db 1",
			}, recover.RowUp, ""},
		"a mount that systemd could not make": {
			func(h *recovertest.Host) {
				h.NotMounted = nil
				h.Start["db.service"] = func(_ context.Context, attempt int) (recover.Outcome, error) {
					if attempt == 1 {
						o := needs("mnt-data.mount")
						o.NotMounted = []string{"/mnt/data"}
						return o, nil
					}
					return recovertest.Up, nil
				}
				time.AfterFunc(30*time.Second, func() { close(h.Mounted) })
			}, []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 waiting db 1", " 30.0 starting db 2", " 30.0 up db 2",
				" 30.0 tier-settled 0", " 30.0 tier-started 1", " 30.0 starting app 1", " 30.0 up app 1", " 30.0 tier-settled 1",
			}, recover.RowUp, ""},
		"a mount that never comes": {
			func(h *recovertest.Host) { h.Binds = map[string][]string{"db": {"/mnt/data"}} }, []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 waiting db 0", " 60.0 tier-late 0",
				" 60.0 tier-started 1", " 60.0 starting app 1", " 60.0 up app 1", " 60.0 tier-settled 1",
				"900.0 gave-up db 0",
			}, recover.RowFailed, "/mnt/data is not mounted"},
		"a mount that fails, and looks well": { // one that an automount unit stands for
			func(h *recovertest.Host) {
				h.NotMounted = nil
				close(h.Mounted)
				h.Start["db.service"] = func(context.Context, int) (recover.Outcome, error) {
					o := needs("mnt-data.mount")
					o.NotMounted = []string{"/mnt/data"}
					return o, nil
				}
			}, []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 waiting db 1", " 10.0 starting db 2", " 10.0 gave-up db 2",
				" 10.0 tier-settled 0", " 10.0 tier-started 1", " 10.0 starting app 1", " 10.0 up app 1", " 10.0 tier-settled 1",
			}, recover.RowFailed, "mnt-data.mount"},
		"a mount that cannot be awaited": { // the bus dies
			func(h *recovertest.Host) {
				h.Binds = map[string][]string{"db": {"/mnt/data"}}
				h.AwaitErr = recovertest.ErrBroken
				time.AfterFunc(15*time.Second, func() { close(h.Mounted); h.Mu.Lock(); h.AwaitErr = nil; h.Mu.Unlock() })
			}, []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 waiting db 0", " 10.0 starting db 1", " 10.0 waiting db 0",
				" 20.0 starting db 1", " 20.0 waiting db 0", " 20.0 starting db 1", " 20.0 up db 1", " 20.0 tier-settled 0",
				" 20.0 tier-started 1", " 20.0 starting app 1", " 20.0 up app 1", " 20.0 tier-settled 1",
			}, recover.RowUp, ""},
		"another path is none of its business": {
			func(h *recovertest.Host) { h.Binds = map[string][]string{"db": {"/mnt/database"}} }, []string{
				"  0.0 tier-started 0", "  0.0 starting db 1", "  0.0 up db 1", "  0.0 tier-settled 0",
				"  0.0 tier-started 1", "  0.0 starting app 1", "  0.0 up app 1", "  0.0 tier-settled 1",
			}, recover.RowUp, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := recovertest.NewHost()
				h.NotMounted, h.Mounted = []string{"/mnt/data"}, make(chan struct{})
				c.prepare(h)
				var last recover.Row
				rs := recovertest.Rows("db:0 app:1")
				got, err := playTo(t.Context(), h, oncePolicy(), rs, func(e engine.Event) {
					if e.Row.Name == "db" {
						last = e.Row
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("history (-want +got):\n%s", diff)
				}
				if last.State != c.row || !strings.Contains(last.Error, c.errs) {
					t.Errorf("db is %s: %q, want %s: %q", last.State, last.Error, c.row, c.errs)
				}
			})
		})
	}
}

func TestStartLimitIsResetOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		h.Start["limited.service"] = func(context.Context, int) (recover.Outcome, error) {
			h.Mu.Lock()
			defer h.Mu.Unlock()
			if slices.Contains(h.History, "reset limited.service") {
				return recovertest.Up, nil
			}
			return recovertest.Failed, nil
		}
		h.Start["broken.service"] = recovertest.Fails
		got, err := play(t, t.Context(), h, recover.DefaultPolicy(), recovertest.Rows("limited:0 broken:0 well:0"))
		if err != nil || !slices.Contains(got, " 10.0 up limited 2") {
			t.Errorf("%v; history %q", err, got)
		}
		resets := slices.DeleteFunc(slices.Clone(h.History), func(l string) bool { return !strings.HasPrefix(l, "reset") })
		slices.Sort(resets)
		if !slices.Equal(resets, []string{"reset broken.service", "reset limited.service"}) {
			t.Errorf("reset were %q, want those that had failed, once", resets)
		}
	})
}
