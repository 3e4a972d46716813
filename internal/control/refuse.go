package control

import (
	"fmt"
	"net/http"
)

// orProblem answers what mux has no handler for, an unknown path (404) or a
// method that a path does not have (405), with a problem instead of mux's text.
func (s *Server) orProblem(mux *http.ServeMux) http.Handler {
	unknown := s.limit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, _ := mux.Handler(r)
		answer := headOnly{header: w.Header()} // mux sets Allow
		h.ServeHTTP(&answer, r)
		s.problem(w, answer.status, fmt.Errorf("there is no %s %s", r.Method, r.URL.Path))
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			unknown.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// headOnly is a ResponseWriter that keeps the head of an answer and drops its
// body.
type headOnly struct {
	header http.Header
	status int
}

func (h *headOnly) Header() http.Header            { return h.header }
func (h *headOnly) Write(body []byte) (int, error) { return len(body), nil }
func (h *headOnly) WriteHeader(status int)         { h.status = status }
