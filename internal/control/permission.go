package control

import (
	"fmt"
	"net/http"

	"archy-recovery/internal/recover"
)

// requireOwner passes on requests of root and of the instance's user. Others
// are answered 403, and logged.
func (s *Server) requireOwner(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := peerOf(r.Context())
		if err == nil && (p.uid == 0 || p.uid == s.uid) {
			h.ServeHTTP(w, r)
			return
		}
		s.counts.refusals.Add(1)
		s.log.Warn("change refused", "MESSAGE_ID", recover.MsgRefused, "request", r.Method+" "+r.URL.Path,
			"peer_pid", p.pid, "peer_uid", p.uid, "peer_unit", s.unitLookup.unitOf(r.Context(), p.pid))
		// Without the peer's UID: in the sandbox's user namespace that reads 65534.
		s.writeProblem(w, http.StatusForbidden, fmt.Errorf("only root and uid %d may change things here; "+
			"you are another user. Try again as one of them", s.uid))
	})
}
