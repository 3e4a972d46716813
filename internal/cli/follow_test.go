package cli

import (
	"context"
	"errors"
	"testing"

	"archy-recovery/internal/control"
)

// A context that ends is never taken for a recovery that is complete, at
// whatever moment it ends.
func TestFollowThatIsCutShort(t *testing.T) {
	pretend(t, map[string]any{"events": []control.Status{{Progress: "1"}, {Progress: "2"}, {Progress: "3"}}})
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		err := follow(ctx, instance{uid: 4242}.client(), func(control.Status) bool { cancel(); return true }, func() {})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("it ended with %v", err)
		}
	}
}
