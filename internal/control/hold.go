package control

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// longestHold is the longest hold, in seconds: a week.
const longestHold = 7 * 24 * 60 * 60

// Hold answers PUT and DELETE /v1/hold.
type Hold struct {
	// Until is when retries and paroles go on, zero if nothing is held.
	Until time.Time `json:"until,omitzero"`
}

// Hold keeps retries and paroles for some time, of which parts of a second do not count. Zero
// ends that.
func (c *Client) Hold(ctx context.Context, d time.Duration) (Hold, error) {
	if d == 0 {
		return call[Hold](ctx, c, http.MethodDelete, "hold")
	}
	return call[Hold](ctx, c, http.MethodPut, "hold?seconds="+strconv.FormatInt(int64(d/time.Second), 10))
}

func (s *Server) putHold(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("seconds")
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 1 || seconds > longestHold {
		s.writeProblem(w, http.StatusBadRequest,
			fmt.Errorf("seconds=%q is no whole number of seconds from 1 to %d, which is a week", text, longestHold))
		return
	}
	s.writeJSON(w, Hold{s.service.Hold(r.Context(), time.Duration(seconds)*time.Second)})
}

func (s *Server) deleteHold(w http.ResponseWriter, r *http.Request) {
	s.writeJSON(w, Hold{s.service.Hold(r.Context(), 0)})
}
