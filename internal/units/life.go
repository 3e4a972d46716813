package units

import (
	"context"

	"archy-recovery/internal/recover"
)

// StartJob is Start.
func (m *Manager) StartJob(ctx context.Context, unit string) (recover.Outcome, error) {
	return m.Start(ctx, unit)
}

// AwaitLife returns with ctx.
func (m *Manager) AwaitLife(ctx context.Context, _ string, _ recover.Life) (recover.Life, error) {
	<-ctx.Done()
	return recover.Life{}, ctx.Err()
}

// AwaitScopeEnd returns with ctx.
func (m *Manager) AwaitScopeEnd(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}
