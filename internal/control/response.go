package control

import (
	"encoding/json"
	"net/http"
)

// Problem is an error answer (RFC 9457).
type Problem struct {
	Title  string `json:"title"`  // the name of the status code
	Status int    `json:"status"` // the status code
	Detail string `json:"detail"`
}

func (s *Server) writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	s.encode(w, value)
}

func (s *Server) writeProblem(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	s.encode(w, Problem{Title: http.StatusText(status), Status: status, Detail: err.Error()})
}

// writeBusy answers 503: the same request may succeed in a few seconds.
func (s *Server) writeBusy(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "5")
	s.writeProblem(w, http.StatusServiceUnavailable, err)
}

func (s *Server) encode(w http.ResponseWriter, value any) {
	if err := json.NewEncoder(w).Encode(value); err != nil {
		s.log.Debug("a client did not read its answer", "error", err)
	}
}

// orEmpty makes JSON write [] and not null for a nil slice.
func orEmpty[S ~[]E, E any](s S) S {
	if s == nil {
		return S{}
	}
	return s
}
