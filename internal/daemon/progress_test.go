package daemon

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

// systemd is told of progress at once, then a few times a second, and in the end of what is true then.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoard(slog.New(slog.DiscardHandler), recover.Identity{})
		var told []string
		began := time.Now()
		p := progress{board: b, status: func(line string) {
			told = append(told, fmt.Sprintf("%s: %s", time.Since(began), line))
		}}
		rows := slices.Repeat([]recover.Row{{State: recover.RowStarting, Attempts: make([]recover.Attempt, 1)}}, 40)
		b.enter(recover.Recovering, func() { b.progress = recover.ProgressOf(rows) })
		for i, row := range rows { // one event each 11 ms
			b.change(func() {
				b.progress.Add(rows[i], -1)
				row.State = recover.RowUp
				b.progress.Add(row, 1)
			})
			p.changed()
			time.Sleep(11 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []string{"0s: tier 0: 1 of 40 started", "250ms: tier 0: 23 of 40 started",
			"500ms: tier 0: 40 of 40 started"}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Error(diff)
		}
		p.changed()
		p.changed() // this one is due
		p.end()
		p.changed()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(told) != 4 {
			t.Errorf("told after the end: %q", told)
		}
	})
}
