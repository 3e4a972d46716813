package control

import "net/http"

// A route is a pattern of http.ServeMux and its handler.
type route struct {
	pattern string
	handler http.Handler
}

// routes is the route table. docs/openapi.yaml describes each route; a test
// compares the two.
func (s *Server) routes() []route {
	return []route{
		{"GET /v1/events", http.HandlerFunc(s.getEvents)}, // without limit: a stream lasts as long as its client listens
		s.read("GET /metrics", s.getMetrics),
		s.read("GET /v1/status", s.getStatus),
		s.read("GET /v1/plan", s.getPlan),
		s.read("GET /v1/recoveries", s.getRecoveries),
		s.read("GET /v1/recoveries/{id}", s.getRecovery),
		s.read("GET /v1/user-stopped", s.getUserStopped),
		s.change("PUT /v1/user-stopped/{name}", s.putUserStopped),
		s.change("DELETE /v1/user-stopped/{name}", s.deleteUserStopped),
		s.read("GET /v1/quarantine", s.getQuarantine),
		s.change("DELETE /v1/quarantine/{name}", s.deleteQuarantine),
		s.change("POST /v1/snapshot", s.postSnapshot),
	}
}

// read is a route that every client may use.
func (s *Server) read(pattern string, h http.HandlerFunc) route {
	return route{pattern, s.limit(h)}
}

// change is a route that only root and the instance's user may use.
func (s *Server) change(pattern string, h http.HandlerFunc) route {
	return route{pattern, s.limit(s.requireOwner(h))}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.pattern, r.handler)
	}
	return s.problemIfUnmatched(mux)
}
