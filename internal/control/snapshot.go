package control

import (
	"context"
	"errors"
	"net/http"

	"archy-recovery/internal/daemon"
	"archy-recovery/internal/recover"
)

// Snapshot has the daemon check the running set against podman and systemd,
// and write it if it changed. It returns the set.
func (c *Client) Snapshot(ctx context.Context) (recover.Snapshot, error) {
	return call[recover.Snapshot](ctx, c, http.MethodPost, "snapshot")
}

func (s *Server) postSnapshot(w http.ResponseWriter, r *http.Request) {
	snapshot, err := s.service.TakeSnapshot(r.Context())
	switch {
	case errors.Is(err, daemon.ErrFrozen), errors.Is(err, recover.ErrGoingDown):
		s.writeProblem(w, http.StatusConflict, err)
	case err != nil:
		s.writeProblem(w, http.StatusInternalServerError, err)
	default:
		s.writeJSON(w, withContainers(snapshot))
	}
}

// withContainers makes JSON write [] and not null for a snapshot without
// containers.
func withContainers(s recover.Snapshot) recover.Snapshot {
	s.Containers = orEmpty(s.Containers)
	return s
}
