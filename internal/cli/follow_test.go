package cli

import (
	"context"
	"errors"
	"testing"

	"archy-recovery/internal/control"
)

// A canceled context is an error, whenever it is canceled. Otherwise wait would
// take it for the end of the recovery.
func TestFollowCanceled(t *testing.T) {
	fakeDaemon(t, map[string]any{"events": []control.Status{{Progress: "1"}, {Progress: "2"}, {Progress: "3"}}})
	client := Instance{UID: 4242}.client()
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		err := followWithTicks(ctx, client, func(control.Status) bool { cancel(); return true }, func() {})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("it ended with %v", err)
		}
	}
}
