package engine

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"go.uber.org/goleak"
)

// The whole of this package's tests has to pass through every transition of a row
// that docs/recovery.md draws. (That it draws those of the code is tested in
// package recover.)
func TestMain(m *testing.M) {
	flag.Parse()
	var mu sync.Mutex
	seen := map[string]bool{}
	observeMove = func(from, to recover.RowState) {
		mu.Lock()
		defer mu.Unlock()
		seen[fmt.Sprintf("%s --> %s", from, to)] = true
	}
	code := m.Run()
	if all := flag.Lookup("test.run").Value.String() == ""; all && code == 0 {
		drawn, _ := recovertest.DrawnArrows("../../..")
		for _, arrow := range drawn {
			if !seen[arrow] {
				fmt.Println("no test goes from", arrow)
				code = 1
			}
		}
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Println("goroutines are left:", err)
		code = 1
	}
	os.Exit(code)
}

// A unitStarter starts the unit that a row names, and asks nothing else.
type unitStarter struct{ h *recovertest.Host }

func (s unitStarter) Start(ctx context.Context, row recover.Row) (recover.Outcome, error) {
	o, err := recovertest.Systemd{H: s.h}.Start(ctx, row.Unit)
	o.Unit = row.Unit
	return o, err
}

// Await is never told anything.
func (s unitStarter) Await(ctx context.Context, _ *recover.Row, _ recover.Life) (recover.Life, error) {
	<-ctx.Done()
	return recover.Life{}, ctx.Err()
}

func (s unitStarter) Explain(context.Context, recover.Row) recover.Explanation {
	return recover.Explanation{}
}

func (s unitStarter) AwaitHealthy(ctx context.Context, row recover.Row, tell func(recover.RowHealth)) {
	h := recovertest.Podman{H: s.h}
	health, _ := h.Health(ctx, row.Name)
	for first := true; health.Command != nil && ctx.Err() == nil; first = false {
		if passed, _ := h.TryHealth(ctx, row.Name, health.Command); passed {
			tell(recover.HealthPassed)
			if Sleep(ctx, time.Second); ctx.Err() == nil {
				_ = h.RunHealthCheck(ctx, row.Name)
			}
			return
		}
		if first {
			tell(recover.HealthAwaited)
		}
		Sleep(ctx, time.Second)
	}
}

func (s unitStarter) AwaitMounts(ctx context.Context, points []string) error {
	return recovertest.Systemd{H: s.h}.AwaitMounts(ctx, points)
}

func (s unitStarter) AwaitNetwork(ctx context.Context) error {
	return recovertest.Systemd{H: s.h}.AwaitNetwork(ctx, recover.NetworkDown)
}

// AwaitLacking waits for mounts, as AwaitMounts does.
func (s unitStarter) AwaitLacking(ctx context.Context, _ recover.Row, points []string) error {
	return s.AwaitMounts(ctx, points)
}

// oncePolicy is the default policy, but tries nothing after READY.
func oncePolicy() recover.Policy {
	p := recover.DefaultPolicy()
	p.RetryAfterReady = false
	return p
}
