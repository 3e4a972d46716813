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
	// read is a route for every client, change one for root and the instance's
	// user.
	read := func(pattern string, h http.HandlerFunc) route { return route{pattern, s.limit(h)} }
	change := func(pattern string, h http.HandlerFunc) route { return route{pattern, s.limit(s.requireOwner(h))} }
	return []route{
		{"GET /v1/events", http.HandlerFunc(s.getEvents)}, // without limit: a stream lasts as long as its client listens
		read("GET /metrics", s.getMetrics),
		read("GET /v1/status", s.getStatus),
		read("GET /v1/plan", s.getPlan),
		read("GET /v1/recoveries", s.getRecoveries),
		read("GET /v1/recoveries/{id}", s.getRecovery),
		read("GET /v1/recoveries/{id}/plot", s.getPlot),
		read("GET /v1/boots", s.getBoots),
		read("GET /v1/user-stopped", s.getUserStopped),
		change("PUT /v1/user-stopped/{name}", s.setUserStopped(true)),
		change("DELETE /v1/user-stopped/{name}", s.setUserStopped(false)),
		read("GET /v1/quarantine", s.getQuarantine),
		change("DELETE /v1/quarantine/{name}", s.deleteQuarantine),
		change("POST /v1/snapshot", s.postSnapshot),
		change("POST /v1/retry", s.postRetry),
		change("POST /v1/retry/{name}", s.postRetry),
		read("GET /v1/repair", s.getRepair),
		read("GET /v1/repair/{name}", s.getRepair),
		change("POST /v1/repair", s.postRepair),
		change("POST /v1/repair/{name}", s.postRepair),
		change("PUT /v1/hold", s.putHold),
		change("DELETE /v1/hold", s.deleteHold),
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.pattern, r.handler)
	}
	return s.problemIfUnmatched(mux)
}
