package daemon

import (
	"fmt"
	"log/slog"
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
		rows := make([]recover.Row, 40)
		b.enter(recover.Recovering, func() { b.progress = recover.ProgressOf(rows) })
		for i, row := range rows { // one event each 10 ms
			b.change(func() {
				b.progress.Add(rows[i], -1)
				row.State = recover.RowUp
				b.progress.Add(row, 1)
			})
			p.changed()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []string{"0s: " + lineOf(1), "250ms: " + lineOf(25), "500ms: " + lineOf(40)}
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

// lineOf is the line with so many of 40 containers up.
func lineOf(up int) string {
	rows := make([]recover.Row, 40)
	for i := range up {
		rows[i].State = recover.RowUp
	}
	progress := recover.ProgressOf(rows)
	return progress.Line()
}
