package daemon

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/diagnosis"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// offlineHost has containers of each need, and no network until comes has passed.
func offlineHost(h *recovertest.Host, comes time.Duration) {
	h.Offline = make(chan struct{})
	time.AfterFunc(comes, func() { close(h.Offline) })
	h.NetworkNeeds = map[string]recover.NetworkNeed{
		"web.service":   {Ordered: true},
		"picky.service": {Ordered: true, By: "picky.service is ordered after it"},
	}
}

func TestStartWithoutNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		offlineHost(h, 20*time.Second)
		h.NoImages = []string{"gone:1"}
		h.Start["pulls.service"] = func(ctx context.Context, attempt int) (recover.Outcome, error) {
			if attempt == 1 {
				return recovertest.Hangs(ctx, attempt) // podman tries to pull
			}
			return recovertest.Up, nil
		}
		rows := recovertest.Rows("free:0 web:0 picky:0 pulls:0")
		rows[1].Image, rows[3].Image = "there:1", "gone:1"
		got, err := play(t, t.Context(), h, recover.DefaultPolicy(), rows)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"  0.0 up free 1", "  0.0 up web 1", "  0.0 waiting picky 0", "  0.0 waiting pulls 0",
			" 20.0 up picky 1", " 20.0 up pulls 1"} {
			if !slices.Contains(got, want) {
				t.Errorf("no %q in the history %q", want, got)
			}
		}
		starts := slices.DeleteFunc(slices.Clone(h.History), func(l string) bool { return !strings.Contains(l, "start") })
		slices.Sort(starts)
		want := []string{"start free.service", "start offline web.service", "start picky.service", "start pulls.service",
			"start pulls.service"}
		if diff := cmp.Diff(want, starts); diff != "" {
			t.Errorf("starts (-want +got):\n%s", diff)
		}
		if n := count(h.History, "await the network"); n != 1 {
			t.Errorf("%d waits for the network, want one for all", n)
		}
	})
}

func count(lines []string, line string) (n int) {
	for _, l := range lines {
		if l == line {
			n++
		}
	}
	return n
}

// podman's words count only while the network is not there.
func TestPodmanWantsNetwork(t *testing.T) {
	for name, comes := range map[string]time.Duration{"not there": 20 * time.Second, "there": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := recovertest.NewHost()
				offlineHost(h, comes)
				synctest.Wait()
				time.Sleep(time.Second)
				h.Start["app.service"] = recovertest.WorksAt(2)
				h.Written = map[string][]diagnosis.Line{"app": {{Comm: "podman", Transport: "stdout",
					Message: "Error: initializing source docker://r.example/app:1: pinging container registry r.example: " +
						"Get \"https://r.example/v2/\": dial tcp: lookup r.example: no such host"}}}
				got, err := play(t, t.Context(), h, recover.DefaultPolicy(), recovertest.Rows("app:0"))
				if err != nil {
					t.Fatal(err)
				}
				waited := slices.ContainsFunc(got, func(l string) bool { return strings.Contains(l, "waiting app") })
				isUp := func(l string) bool { return strings.Contains(l, "up app 2") }
				if waited != (comes > 0) || !slices.ContainsFunc(got, isUp) {
					t.Errorf("history %q", got)
				}
			})
		})
	}
}

// The host has given up its wait for the network, and nobody says when the network comes. A
// container that fails for want of it is tried again after longer and longer pauses. None of
// these is an attempt of its own.
func TestBackOffWithoutNetwork(t *testing.T) {
	h := recovertest.NewHost().Quadlet("picky").Ran("picky")
	h.Marker = recovertest.Crashed
	h.Lives = map[string]chan recover.Life{"picky.service": nil}
	h.Written = map[string][]diagnosis.Line{"picky": {{Comm: "podman", Transport: "stdout", Message: "Error: " +
		"initializing source docker://r.example/app:1: pinging container registry r.example: " +
		"Get \"https://r.example/v2/\": dial tcp: lookup r.example: no such host"}}}
	var starts []int
	running(t, h, t.Output(), func(s *Service) {
		began := time.Now()
		h.Set(func() {
			offlineHost(h, time.Hour)
			h.GaveUp = make(chan struct{})
			time.AfterFunc(5*time.Second, func() { close(h.GaveUp) })
			h.Start["picky.service"] = func(ctx context.Context, _ int) (recover.Outcome, error) {
				starts = append(starts, int(time.Since(began).Seconds()))
				return recovertest.WorksAt(4)(ctx, len(starts))
			}
		})
		time.Sleep(100 * time.Second)
		synctest.Wait()
		if row := rowOf(s, "picky"); row.State != recover.RowNoNetwork {
			t.Errorf("READY, and picky is %s: %s", row.State, row.Error)
		}
		time.Sleep(100 * time.Second)
		synctest.Wait()
		if row := rowOf(s, "picky"); row.State != recover.RowUp {
			t.Errorf("picky is %s: %s", row.State, row.Error)
		}
	})
	if want := []int{5, 20, 50, 110}; !slices.Equal(starts, want) {
		t.Errorf("the starts are at %v s, want %v", starts, want)
	}
}

// READY does not wait longer than NetworkWaitSec=. The report is amended when the network
// comes, and STATUS= tells both.
func TestReadyWithoutNetwork(t *testing.T) {
	h := recovertest.NewHost().Quadlet("web").Quadlet("picky").Ran("web", "picky")
	h.Marker = recovertest.Crashed
	h.Lives = map[string]chan recover.Life{"web.service": nil, "picky.service": nil}
	running(t, h, t.Output(), func(s *Service) {
		h.Set(func() { offlineHost(h, 200*time.Second) })
		time.Sleep(100 * time.Second)
		synctest.Wait()
		if row := rowOf(s, "picky"); row.State != recover.RowNoNetwork ||
			row.Error != "waits for the network: picky.service is ordered after it" {
			t.Errorf("picky is %s: %s", row.State, row.Error)
		}
		h.Set(func() {
			if h.Status != "complete with 1 not recovered: 1 of 2 containers run; 1 no-network" &&
				!slices.ContainsFunc(h.History, func(l string) bool { return strings.Contains(l, "1 no-network") }) {
				t.Errorf("STATUS=%s", h.Status)
			}
		})
		time.Sleep(200 * time.Second)
		synctest.Wait()
		if row := rowOf(s, "picky"); row.State != recover.RowUp {
			t.Errorf("picky is %s: %s", row.State, row.Error)
		}
		h.Set(func() {
			if h.Status != "complete: 2 containers run, 2 of them started" {
				t.Errorf("STATUS=%s", h.Status)
			}
		})
	})
	if !recover.HasName(h.Snapshot.Containers, "picky") {
		t.Errorf("the set is %v", h.Snapshot.Containers)
	}
}
