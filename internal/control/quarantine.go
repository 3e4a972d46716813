package control

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"archy-recovery/internal/daemon"
	"archy-recovery/internal/recover"
)

// Quarantine answers GET /v1/quarantine, and DELETE of a name.
type Quarantine struct {
	Suspects recover.Quarantine `json:"suspects"` // quarantined or not
	// Crashes are those that the suspicion rests on, oldest first.
	Crashes []recover.Crash `json:"crashes"`
	// Unexplained counts the crashes that no container explains.
	Unexplained int `json:"unexplained,omitempty"`
	// RecoveryComplete: the dates of the suspects are known, since they count from then.
	RecoveryComplete bool `json:"recoveryComplete"`
	// Quiet counts the crashes at which no container was in flight.
	Quiet int `json:"quiet,omitempty"`
	// SoaksLeft is how many more soaks each suspect is to live through until it is
	// cleared, by name.
	SoaksLeft map[string]int `json:"soaksLeft"`
}

// Book is the casebook, as far as an answer has it.
func (q Quarantine) Book() recover.Casebook {
	return recover.Casebook{Suspects: q.Suspects, Crashes: q.Crashes, Unexplained: q.Unexplained, Quiet: q.Quiet}
}

// Quarantine asks for the suspects.
func (c *Client) Quarantine(ctx context.Context) (Quarantine, error) {
	return call[Quarantine](ctx, c, http.MethodGet, "quarantine")
}

// Release clears a suspect, and so takes it out of quarantine. It returns the
// other suspects.
func (c *Client) Release(ctx context.Context, name string) (Quarantine, error) {
	return call[Quarantine](ctx, c, http.MethodDelete, "quarantine/"+url.PathEscape(name))
}

func (s *Server) getQuarantine(w http.ResponseWriter, _ *http.Request) {
	st, _ := s.service.Status()
	q := Quarantine{Suspects: orEmpty(st.Quarantine), Crashes: orEmpty(st.Crashes), Unexplained: st.Unexplained,
		RecoveryComplete: st.RecoveryComplete, Quiet: st.Quiet, SoaksLeft: map[string]int{}}
	for _, suspect := range q.Suspects {
		q.SoaksLeft[suspect.Name] = q.Book().SoaksLeft(suspect)
	}
	s.writeJSON(w, q)
}

func (s *Server) deleteQuarantine(w http.ResponseWriter, r *http.Request) {
	name, ok := s.nameOf(w, r)
	if !ok {
		return
	}
	switch err := s.service.Release(name); {
	case errors.Is(err, daemon.ErrNotSuspected):
		s.writeProblem(w, http.StatusNotFound, err)
	case errors.Is(err, recover.ErrBusy):
		s.writeBusy(w, err)
	case err != nil:
		s.writeProblem(w, http.StatusInternalServerError, err)
	default:
		s.getQuarantine(w, r)
	}
}
