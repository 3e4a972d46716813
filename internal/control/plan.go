package control

import (
	"context"
	"net/http"

	"archy-recovery/internal/recover"
)

// Plan asks what recovery would start if the host crashed now.
func (c *Client) Plan(ctx context.Context) (recover.Preview, error) {
	return call[recover.Preview](ctx, c, http.MethodGet, "plan")
}

func (s *Server) getPlan(w http.ResponseWriter, r *http.Request) {
	plan, err := s.plans.get(r.Context(), s.service.Phase(), func() (recover.Preview, error) {
		return s.service.Preview(r.Context()), nil
	})
	if err != nil {
		s.writeBusy(w, err)
		return
	}
	s.writeJSON(w, plan)
}
