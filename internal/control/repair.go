package control

import (
	"context"
	"errors"
	"net/http"
	"time"

	"archy-recovery/internal/daemon"
	"archy-recovery/internal/recover"
)

// Repairs answers GET and POST of /v1/repair: what mends what a crash damaged.
type Repairs = recover.Repairs

// Repairs asks what would mend the damaged containers, or only the named one.
func (c *Client) Repairs(ctx context.Context, name string) (Repairs, error) {
	return call[Repairs](ctx, c, http.MethodGet, pathOf("repair", name))
}

// Repair has the daemon mend them, or only the named one. It takes as long as an image takes to
// come.
func (c *Client) Repair(ctx context.Context, name string) (Repairs, error) {
	return callWithin[Repairs](ctx, c, daemon.RepairWithin+answerTimeout, http.MethodPost, pathOf("repair", name))
}

func (s *Server) getRepair(w http.ResponseWriter, r *http.Request) { s.repair(w, r, s.service.Repairs) }

// postRepair has no time limit but that of a repair, of which there is one at a time.
func (s *Server) postRepair(w http.ResponseWriter, r *http.Request) {
	c := http.NewResponseController(w)
	until := time.Now().Add(daemon.RepairWithin)
	_, _ = c.SetReadDeadline(until), c.SetWriteDeadline(until.Add(s.limits.event))
	s.repair(w, r, s.service.Repair)
}

func (s *Server) repair(
	w http.ResponseWriter, r *http.Request, ask func(context.Context, string) (recover.Repairs, error),
) {
	name, ok := s.nameOf(w, r)
	if !ok {
		return
	}
	repairs, err := ask(r.Context(), name)
	switch {
	case errors.Is(err, daemon.ErrNotDamaged):
		s.writeProblem(w, http.StatusNotFound, err)
	case errors.Is(err, daemon.ErrFrozen):
		s.writeProblem(w, http.StatusConflict, err)
	case errors.Is(err, daemon.ErrRepairing):
		s.writeBusy(w, err)
	case err != nil:
		s.writeProblem(w, http.StatusInternalServerError, err)
	default:
		repairs.Repairs = orEmpty(repairs.Repairs)
		s.writeJSON(w, repairs)
	}
}
