package daemon

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// The whole of this package's tests has to pass through every change of the phase
// that docs/recovery.md draws, and no other.
func TestMain(m *testing.M) {
	flag.Parse()
	var mu sync.Mutex
	phases := map[string]bool{}
	observePhase = func(from, to recover.Phase) {
		mu.Lock()
		defer mu.Unlock()
		phases[fmt.Sprintf("%s --> %s", from, to)] = true
	}
	code := m.Run()
	if all := flag.Lookup("test.run").Value.String() == ""; all && code == 0 {
		_, drawn := recovertest.DrawnArrows("../..")
		if diff := cmp.Diff(slices.Sorted(maps.Keys(phases)), drawn); diff != "" {
			fmt.Println("docs/recovery.md draws other changes of a run than the tests pass through (-seen +drawn):", diff)
			code = 1
		}
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Println("goroutines are left:", err)
		code = 1
	}
	os.Exit(code)
}

// worldOf is a make-believe host as a daemon's world.
func worldOf(h *recovertest.Host) World {
	return World{
		Store:       recovertest.Store{H: h},
		Podman:      recovertest.Podman{H: h},
		Systemd:     recovertest.Systemd{H: h},
		Journal:     recovertest.Journal{H: h},
		Notifier:    recovertest.Notifier{H: h},
		Gauge:       recovertest.Gauge{H: h},
		Output:      recovertest.Journal{H: h},
		Log:         slog.New(slog.NewTextHandler(io.Discard, nil)),
		PodmanFirst: h.PodmanFirst,
	}
}

// newService is a run on a make-believe host.
func newService(h *recovertest.Host, p recover.Policy) *Service {
	return New(worldOf(h), p, recovertest.Here)
}

// starterOn is the starter of a run on a make-believe host.
func starterOn(h *recovertest.Host, p recover.Policy) *starter {
	s := newService(h, p)
	return newStarter(s.world, p, s.suspects, nil, func(string, recover.Life) {})
}

// oncePolicy is the default policy, but tries nothing after READY.
func oncePolicy() recover.Policy {
	p := recover.DefaultPolicy()
	p.RetryAfterReady = false
	return p
}
