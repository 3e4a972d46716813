package recover

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

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

// drawnArrows are those of the diagram of a container.
func drawnArrows() (rows []string) {
	text, err := os.ReadFile("../../docs/recovery.md")
	if err != nil {
		panic(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\s+([a-z-]+) --> ([a-z-]+)`).FindAllStringSubmatch(string(text), -1) {
		if slices.Contains(RowStates(), RowState(m[1])) {
			rows = append(rows, arrow(RowState(m[1]), RowState(m[2])))
		}
	}
	slices.Sort(rows)
	return rows
}

func TestDiagram(t *testing.T) {
	drawn := drawnArrows()
	if diff := cmp.Diff(arrows(), drawn); diff != "" {
		t.Errorf("docs/recovery.md draws other transitions than rowstate.go has (-code +drawn):\n%s", diff)
	}
}

func TestImpossibleTransition(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("failed became up")
		}
	}()
	(&Row{State: RowFailed}).Move(RowUp)
}

// A row keeps when it waited; holders of the old list keep that as it was.
func TestWaitsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		row := Row{State: RowStarting}
		move := func(to RowState) { row.keepWaits(to); row.State = to }
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
