package control

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"archy-recovery/internal/timeline"
)

// Plot asks for the picture of a recovery, an SVG. id is that of a path below
// /v1/recoveries.
func (c *Client) Plot(ctx context.Context, id string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	res, err := c.send(ctx, http.MethodGet, "recoveries/"+url.PathEscape(id)+"/plot")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(io.LimitReader(res.Body, maxAnswer))
}

// getPlot draws a recovery, one under way until now.
func (s *Server) getPlot(w http.ResponseWriter, r *http.Request) {
	report, status, err := s.pickReport(r)
	if err != nil {
		s.writeProblem(w, status, err)
		return
	}
	var picture bytes.Buffer
	if err := timeline.SVG(&picture, report, time.Now()); err != nil {
		s.writeProblem(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "no-store")
	// The picture escapes all text. A browser that opens it runs no script and loads nothing
	// even so.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if _, err := picture.WriteTo(w); err != nil {
		s.log.Debug("a client did not read its answer", "error", err)
	}
}
