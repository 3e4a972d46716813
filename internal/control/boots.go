package control

import (
	"context"
	"errors"
	"net/http"

	"archy-recovery/internal/recover"
)

// bootsListed is how many boots an answer lists. The journal is read twice for each.
const bootsListed = 10

// Boots answers GET /v1/boots: the last boots, oldest first.
type Boots struct {
	Boots []EndedBoot `json:"boots"`
}

// An EndedBoot is a boot, how it ended, and the recovery that followed.
type EndedBoot struct {
	recover.Boot
	Recovery *BootRecovery `json:"recovery,omitempty"`
}

// A BootRecovery is a recovery in brief; GET /v1/recoveries/ID has all of it.
type BootRecovery struct {
	ID          int     `json:"id"`
	BootID      string  `json:"bootId"`
	TookSeconds float64 `json:"tookSeconds"` // 0 if it was not finished
	Summary     string  `json:"summary"`
}

// EndedBoots adds to each boot the recovery that followed it.
func EndedBoots(boots []recover.Boot, reports []recover.Report) []EndedBoot {
	ended := make([]EndedBoot, 0, len(boots))
	for i, r := range recover.RecoveriesAfter(boots, reports) {
		e := EndedBoot{Boot: boots[i]}
		if r != nil {
			e.Recovery = &BootRecovery{ID: r.ID, BootID: r.BootID, Summary: r.Summary()}
			if !r.Finished.IsZero() {
				e.Recovery.TookSeconds = r.Finished.Sub(r.Started).Seconds()
			}
		}
		ended = append(ended, e)
	}
	return ended
}

// Boots asks for the last boots, oldest first.
func (c *Client) Boots(ctx context.Context) (Boots, error) {
	return call[Boots](ctx, c, http.MethodGet, "boots")
}

// A bootLister lists the last n boots of the journal, oldest first.
type bootLister func(ctx context.Context, n int) ([]recover.Boot, error)

// SetBoots sets what reads the list of boots. Call it before Serve.
func (s *Server) SetBoots(list func(ctx context.Context, n int) ([]recover.Boot, error)) {
	s.listBoots = list
}

var (
	errNoBoots    = errors.New("this daemon was started without a journal to list boots from")
	errBootsLater = errors.New("the boots are listed when recovery is complete: until then it needs the journal itself; " +
		"try again later")
)

func (s *Server) getBoots(w http.ResponseWriter, r *http.Request) {
	if phase := s.service.Phase(); phase == recover.Assessing || phase == recover.Recovering {
		s.writeBusy(w, errBootsLater)
		return
	}
	// As if recovery were under way: also after it the journal is read once a second at most.
	ended, err := s.boots.get(r.Context(), recover.Recovering, func() ([]EndedBoot, error) {
		return s.endedBoots(r.Context())
	})
	if err != nil {
		s.writeProblem(w, http.StatusInternalServerError, err)
		return
	}
	s.writeJSON(w, Boots{orEmpty(ended)})
}

func (s *Server) endedBoots(ctx context.Context) ([]EndedBoot, error) {
	if s.listBoots == nil {
		return nil, errNoBoots
	}
	listed, err := s.listBoots(ctx, bootsListed)
	if err != nil {
		return nil, err
	}
	reports, err := s.recoveries(ctx)
	if err != nil {
		return nil, err
	}
	return EndedBoots(recover.WithLostBoots(listed, reports, bootsListed), reports), nil
}
