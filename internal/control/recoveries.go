package control

import (
	"context"
	"net/http"

	"archy-recovery/internal/recover"
)

// Recoveries answers GET /v1/recoveries: the history, oldest first.
type Recoveries struct {
	Recoveries []recover.Report `json:"recoveries"`
}

// Recoveries asks for the history, oldest first.
func (c *Client) Recoveries(ctx context.Context) (Recoveries, error) {
	return call[Recoveries](ctx, c, http.MethodGet, "recoveries")
}

func (s *Server) getRecoveries(w http.ResponseWriter, r *http.Request) {
	reports, err := s.recoveries(r.Context())
	if err != nil {
		s.writeProblem(w, http.StatusInternalServerError, err)
		return
	}
	s.writeJSON(w, Recoveries{orEmpty(reports)})
}

// getRecovery answers with one recovery of the history. The path names it by
// its ID, by "last", by 0 for the last, or by -N for the one N before the last.
func (s *Server) getRecovery(w http.ResponseWriter, r *http.Request) {
	reports, err := s.recoveries(r.Context())
	if err != nil {
		s.writeProblem(w, http.StatusInternalServerError, err)
		return
	}
	report, err := recover.PickReport(reports, r.PathValue("id"))
	if err != nil {
		s.writeProblem(w, http.StatusNotFound, err)
		return
	}
	s.writeJSON(w, report)
}

func (s *Server) recoveries(ctx context.Context) ([]recover.Report, error) {
	return s.reports.get(ctx, s.service.Phase(), s.service.Reports)
}
