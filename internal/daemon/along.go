package daemon

import (
	"context"
	"fmt"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/survey"
)

// vetoAlong looks anew at what a row's start would start along: the user-stopped list has
// changed since the plan, or the plan did not know that, or the row's unit. It refuses with
// a *recover.NeedsStopped, or if that cannot be found out.
func (s *starter) vetoAlong(ctx context.Context, row *recover.Row, userStopped []string) error {
	row.Stopped, row.Without = []string{}, nil
	if len(userStopped) == 0 {
		return nil
	}
	var holds recover.Holds
	err := s.world.host().Tie(ctx, &holds, survey.Starts{
		Resolved: map[string]recover.Resolution{row.Name: {Unit: row.Unit, Generated: row.Generated}},
		Stopped:  userStopped,
	})
	if err != nil {
		return fmt.Errorf("it is not known whether its start would start one that you stopped: %w", err)
	}
	along := holds.Along[row.Name]
	if len(along.Needed) > 0 {
		row.Stopped = along.Needed
		return &recover.NeedsStopped{Names: along.Needed}
	}
	row.Stopped, row.Without = append(row.Stopped, along.Wanted...), along.Without
	return nil
}
