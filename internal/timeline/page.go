package timeline

import (
	_ "embed"
	"html/template"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"archy-recovery/internal/recover"
)

// HTML writes a page with the picture, the verdict with its evidence, and the
// table of containers. The page loads nothing, so it can be mailed and opened
// offline. A recovery under way is drawn until now, as SVG draws it.
func HTML(w io.Writer, r recover.Report, now time.Time) error {
	p := &picture{report: r}
	return page().Execute(w, map[string]any{
		"Title":   p.title(),
		"Report":  r,
		"Picture": template.HTML(draw(r, now)), // draw escapes names and messages
	})
}

//go:embed page.html
var pageText string

// page is parsed on first use: the daemon never uses it.
var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("report").Funcs(pageFunctions).Parse(pageText))
})

var pageFunctions = template.FuncMap{
	"since": func(r recover.Report, t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return Span(t.Sub(r.Started))
	},
	"span": func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return Span(d)
	},
	"stamp": func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format("2006-01-02 15:04:05.000 MST")
	},
	"up": func(r recover.Row) time.Time {
		switch r.State {
		case recover.RowUp, recover.RowFell, recover.RowRestarting, recover.RowDone:
			return r.Ended()
		}
		return time.Time{}
	},
	"tier": func(r recover.Row) string {
		if r.Alone {
			return strconv.Itoa(r.Tier) + ", alone"
		}
		return strconv.Itoa(r.Tier)
	},
	"bad": func(r recover.Row) bool {
		return r.State.NotRecovered()
	},
	"result": func(r recover.Row) string {
		last := r.LastAttempt()
		switch {
		case last == nil:
			return ""
		case r.State == recover.RowFailed:
			return last.Result
		case r.State.NotRecovered() && last.Fell != nil:
			return last.Fell.End()
		}
		return ""
	},
	"lines": func(output []string) string { return strings.Join(output, "\n") },
}
