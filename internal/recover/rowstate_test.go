package recover

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// The whole of this package's tests has to pass through every transition.
func TestMain(m *testing.M) {
	flag.Parse()
	var mu sync.Mutex
	seen := map[string]bool{}
	observeMove = func(from, to RowState) {
		mu.Lock()
		defer mu.Unlock()
		seen[arrow(from, to)] = true
	}
	phases := map[string]bool{}
	observePhase = func(from, to Phase) {
		mu.Lock()
		defer mu.Unlock()
		phases[fmt.Sprintf("%s --> %s", from, to)] = true
	}
	code := m.Run()
	if all := flag.Lookup("test.run").Value.String() == ""; all && code == 0 {
		for _, a := range arrows() {
			if !seen[a] {
				fmt.Println("no test goes from", a)
				code = 1
			}
		}
		_, drawn := drawnArrows()
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

func arrow(from, to RowState) string { return fmt.Sprintf("%s --> %s", from, to) }

// arrows lists the transitions of the code.
func arrows() []string {
	var all []string
	for from, tos := range transitions {
		for _, to := range tos {
			all = append(all, arrow(from, to))
		}
	}
	slices.Sort(all)
	return all
}

// drawnArrows are those of the diagrams: of a container, and of a run.
func drawnArrows() (rows, phases []string) {
	text, err := os.ReadFile("../../docs/recovery.md")
	if err != nil {
		panic(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\s+([a-z-]+) --> ([a-z-]+)`).FindAllStringSubmatch(string(text), -1) {
		a := arrow(RowState(m[1]), RowState(m[2]))
		if slices.Contains([]Phase{Assessing, Recovering, Ready, Stopping}, Phase(m[1])) {
			phases = append(phases, a)
		} else {
			rows = append(rows, a)
		}
	}
	slices.Sort(rows)
	slices.Sort(phases)
	return rows, phases
}

func TestTheDiagramIsTheCode(t *testing.T) {
	drawn, _ := drawnArrows()
	if diff := cmp.Diff(arrows(), drawn); diff != "" {
		t.Errorf("docs/recovery.md draws other transitions than rowstate.go has (-code +drawn):\n%s", diff)
	}
}

func TestAnImpossibleTransitionIsAMistake(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("failed became up")
		}
	}()
	(&Row{State: RowFailed}).move(RowUp)
}

// A row keeps when it waited; who holds the old list keeps the old one.
func TestWaitsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		row := Row{State: RowStarting}
		move := func(to RowState) { row.keepWaits(to); row.State = to } // unseen by TestMain
		move(RowWaiting)
		held := row.Waits
		time.Sleep(time.Second)
		move(RowQueued)
		move(RowStarting)
		move(RowWaiting)
		time.Sleep(time.Second)
		move(RowFailed)
		want := []Wait{{began, began.Add(time.Second)}, {began.Add(time.Second), began.Add(2 * time.Second)}}
		if diff := cmp.Diff(want, row.Waits); diff != "" {
			t.Errorf("waits (-want +got):\n%s", diff)
		}
		if len(held) != 1 || !held[0].Ended.IsZero() {
			t.Errorf("another's list was changed: %v", held)
		}
	})
}
