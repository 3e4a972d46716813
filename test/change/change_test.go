package change

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestAwait(t *testing.T) {
	s, n := NewState(), 0
	for range 3 {
		go s.Change(func() { n++ })
	}
	if err := s.Await(t.Context(), "three changes", func() (bool, error) { return n == 3, nil }); err != nil {
		t.Error(err)
	}
	failed := errors.New("failed")
	if err := s.Await(t.Context(), "an error", func() (bool, error) { return false, failed }); err != failed {
		t.Errorf("the error is %v, want done's", err)
	}
}

func TestAwaitContextEnd(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("too late")
	cancel(cause)
	err := NewState().Await(ctx, "a change", func() (bool, error) { return false, nil })
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "a change") {
		t.Errorf("the error is %v, want the context's cause and what was waited for", err)
	}
}
