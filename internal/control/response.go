package control

import (
	"encoding/json"
	"log/slog"
	"net/http"
)

// Problem is an error answer (RFC 9457).
type Problem struct {
	Title  string `json:"title"`  // the name of the status code
	Status int    `json:"status"` // the status code
	Detail string `json:"detail"`
}

// A responder writes answers.
type responder struct{ log *slog.Logger }

func (r responder) writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	r.encode(w, value)
}

func (r responder) writeProblem(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	r.encode(w, Problem{Title: http.StatusText(status), Status: status, Detail: err.Error()})
}

// writeBusy answers 503: the same request may succeed in a few seconds.
func (r responder) writeBusy(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "5")
	r.writeProblem(w, http.StatusServiceUnavailable, err)
}

func (r responder) encode(w http.ResponseWriter, value any) {
	if err := json.NewEncoder(w).Encode(value); err != nil {
		r.log.Debug("a client did not read its answer", "error", err)
	}
}

// orEmpty makes JSON write [] and not null for a nil slice.
func orEmpty[S ~[]E, E any](s S) S {
	if s == nil {
		return S{}
	}
	return s
}
