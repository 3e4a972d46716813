package control

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"archy-recovery/internal/daemon"
	"archy-recovery/internal/recover"
)

// Retried answers POST /v1/retry: the containers that are tried again now.
type Retried struct {
	Containers []string `json:"containers"`
}

// Retry has the daemon try a container again now, or without a name all that are tried again by
// themselves.
func (c *Client) Retry(ctx context.Context, name string) (Retried, error) {
	path := "retry"
	if name != "" {
		path += "/" + url.PathEscape(name)
	}
	return call[Retried](ctx, c, http.MethodPost, path)
}

func (s *Server) postRetry(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if err := recover.CheckName(name); name != "" && err != nil {
		s.writeProblem(w, http.StatusBadRequest, err)
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
