package control

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"archy-recovery/internal/recover"
)

// UserStopped answers GET /v1/user-stopped, and PUT and DELETE of a name.
type UserStopped struct {
	Names   []string `json:"names"`
	Changed bool     `json:"changed"` // by this request
}

// UserStopped asks for the user-stopped list.
func (c *Client) UserStopped(ctx context.Context) (UserStopped, error) {
	return call[UserStopped](ctx, c, http.MethodGet, "user-stopped")
}

// SetUserStopped adds a name to the user-stopped list, or removes it.
func (c *Client) SetUserStopped(ctx context.Context, name string, stopped bool) (UserStopped, error) {
	method := http.MethodDelete
	if stopped {
		method = http.MethodPut
	}
	return call[UserStopped](ctx, c, method, "user-stopped/"+url.PathEscape(name))
}

func (s *Server) getUserStopped(w http.ResponseWriter, _ *http.Request) {
	s.writeUserStopped(w, false)
}

// setUserStopped returns the handler that adds a name (PUT), or removes it
// (DELETE).
func (s *Server) setUserStopped(stopped bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, ok := s.nameOf(w, r)
		if !ok {
			return
		}
		changed, err := s.service.SetUserStopped(name, stopped)
		switch {
		case errors.Is(err, recover.ErrBusy):
			s.writeBusy(w, err)
		case err != nil:
			s.writeProblem(w, http.StatusInternalServerError, err)
		default:
			s.writeUserStopped(w, changed)
		}
	}
}

func (s *Server) writeUserStopped(w http.ResponseWriter, changed bool) {
	names, err := s.service.UserStopped()
	if err != nil {
		s.writeProblem(w, http.StatusInternalServerError, err)
		return
	}
	s.writeJSON(w, UserStopped{orEmpty(names), changed})
}
