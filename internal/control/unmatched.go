package control

import (
	"fmt"
	"net/http"
)

// problemIfUnmatched serves mux. It answers with a problem instead of mux's
// text if no route matches: 404 for an unknown path, 405 for a method that the
// path does not have.
func (s *Server) problemIfUnmatched(mux *http.ServeMux) http.Handler {
	unmatched := s.limit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, _ := mux.Handler(r)
		head := headRecorder{header: w.Header()} // mux sets Allow there
		h.ServeHTTP(&head, r)
		s.writeProblem(w, head.status, fmt.Errorf("there is no %s %s; docs/openapi.yaml lists what there is",
			r.Method, r.URL.Path))
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			unmatched.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// A headRecorder is a ResponseWriter that keeps the status and headers of an
// answer and drops the body.
type headRecorder struct {
	header http.Header
	status int
}

func (h *headRecorder) Header() http.Header            { return h.header }
func (h *headRecorder) Write(body []byte) (int, error) { return len(body), nil }
func (h *headRecorder) WriteHeader(status int)         { h.status = status }
