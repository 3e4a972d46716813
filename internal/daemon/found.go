package daemon

import (
	"context"
	"slices"
	"time"

	"archy-recovery/internal/recover"
)

// findWithin bounds the question about missing containers before READY.
const findWithin = 2 * time.Second

// findMissing looks once more for the containers that neither podman nor a unit knew at the
// plan. A service that runs podman by a script makes its container anew at each boot, and
// systemd may have started it meanwhile. If podman does not answer, they stay missing, and
// the looks after READY find them.
func (s *Service) findMissing(ctx context.Context) {
	status, _ := s.board.status()
	var missing []string
	for _, row := range status.Recovery.Rows {
		if row.State == recover.RowMissing {
			missing = append(missing, row.Name)
		}
	}
	if len(missing) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, findWithin)
	defer cancel()
	now := map[string]recover.NowState{}
	for _, a := range s.world.host().InspectEach(ctx, missing) {
		if a.Err == nil && a.Sighting.Running() {
			now[a.Name] = recover.NowRunning
		}
	}
	s.board.found(now)
}

// found shows the missing containers that run by now as active: something else has started
// them. It reports whether there are such.
func (b *board) found(now map[string]recover.NowState) bool {
	isFound := func(row recover.Row) bool {
		return row.State == recover.RowMissing && now[row.Name] == recover.NowRunning
	}
	b.mu.Lock()
	some := slices.ContainsFunc(b.report.Rows, isFound)
	b.mu.Unlock()
	if !some {
		return false
	}
	b.change(func() { b.showRunning(isFound, recover.RowActive, "something else has started it") })
	return true
}

// showRunning shows rows of the report in a state in which their containers run. It is for
// board.change.
func (b *board) showRunning(which func(recover.Row) bool, state recover.RowState, why string) {
	b.report.Rows = slices.Clone(b.report.Rows)
	for i, row := range b.report.Rows {
		if !which(row) {
			continue
		}
		b.progress.Add(row, -1)
		row.State, row.Error = state, why
		b.progress.Add(row, 1)
		b.report.Rows[i] = row
		b.setNow(map[string]recover.NowState{row.Name: recover.NowRunning})
	}
}
