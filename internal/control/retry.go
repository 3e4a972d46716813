package control

import (
	"context"
	"errors"
	"net/http"

	"archy-recovery/internal/daemon"
)

// Retried answers POST /v1/retry: the containers that are tried again now.
type Retried struct {
	Containers []string `json:"containers"`
}

// Retry has the daemon try a container again now, or without a name all that are tried again by
// themselves.
func (c *Client) Retry(ctx context.Context, name string) (Retried, error) {
	return call[Retried](ctx, c, http.MethodPost, pathOf("retry", name))
}

func (s *Server) postRetry(w http.ResponseWriter, r *http.Request) {
	name, ok := s.nameOf(w, r)
	if !ok {
		return
	}
	names, err := s.service.Retry(r.Context(), name)
	switch {
	case errors.Is(err, daemon.ErrNotInRecovery):
		s.writeProblem(w, http.StatusNotFound, err)
	case errors.Is(err, daemon.ErrCannotRetry):
		s.writeProblem(w, http.StatusConflict, err)
	case err != nil:
		s.writeProblem(w, http.StatusInternalServerError, err)
	default:
		s.writeJSON(w, Retried{orEmpty(names)})
	}
}
