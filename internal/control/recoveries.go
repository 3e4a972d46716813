package control

import (
	"context"
	"errors"
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

// getRecovery answers with one recovery: of the history, or of this run.
func (s *Server) getRecovery(w http.ResponseWriter, r *http.Request) {
	report, status, err := s.pickReport(r)
	if err != nil {
		s.writeProblem(w, status, err)
		return
	}
	s.writeJSON(w, report)
}

// currentID names the recovery of this run in a path, also while it is under way.
const currentID = "current"

var errNotBegun = errors.New("recovery has not begun: how the last run ended is still being assessed")

// pickReport returns the recovery that the path names: by its ID, by "last", by 0 for
// the last, by -N for the one N before the last, or by "current". The status is that of
// the error.
func (s *Server) pickReport(r *http.Request) (report recover.Report, status int, err error) {
	id := r.PathValue("id")
	if id == currentID {
		st, _ := s.service.Status()
		if st.Recovery.Started.IsZero() {
			return report, http.StatusNotFound, errNotBegun
		}
		return st.Recovery, http.StatusOK, nil
	}
	reports, err := s.recoveries(r.Context())
	if err != nil {
		return report, http.StatusInternalServerError, err
	}
	if report, err = recover.PickReport(reports, id); err != nil {
		return report, http.StatusNotFound, err
	}
	return report, http.StatusOK, nil
}

func (s *Server) recoveries(ctx context.Context) ([]recover.Report, error) {
	return s.reports.get(ctx, s.service.Phase(), s.service.Reports)
}
