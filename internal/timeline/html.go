package timeline

import (
	"html/template"
	"io"
	"strconv"
	"sync"
	"time"

	"archy-recovery/internal/recover"
)

// HTML writes one page with the picture, the verdict with its evidence, and the
// table. It loads nothing, so it opens offline and can be mailed.
func HTML(w io.Writer, r recover.Report, now time.Time) error {
	p := &picture{report: r}
	return page().Execute(w, map[string]any{
		"Title":   p.title(),
		"Report":  r,
		"Picture": template.HTML(draw(r, now)), // escaped where it is drawn
	})
}

// page is not parsed before it is asked for: the daemon never does.
var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("report").Funcs(functions).Parse(pageText))
})

var functions = template.FuncMap{
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
		if r.State != recover.RowUp {
			return time.Time{}
		}
		return r.Ended()
	},
	"tier": func(r recover.Row) string {
		if r.Alone {
			return strconv.Itoa(r.Tier) + ", alone"
		}
		return strconv.Itoa(r.Tier)
	},
	"bad": func(r recover.Row) bool {
		return r.State == recover.RowFailed || r.State == recover.RowQuarantined
	},
	"result": func(r recover.Row) string {
		if n := len(r.Attempts); n > 0 {
			return r.Attempts[n-1].Result
		}
		return ""
	},
}

const pageText = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{.Title}}</title>
<style>
:root{--page:#fff;--text:#1c2128;--dim:#5b6570;--line:#dfe4e9;--band:#f4f6f8;--bad:#b34700}
@media (prefers-color-scheme:dark){:root{--page:#12161b;--text:#e4e9ee;--dim:#98a3ae;--line:#2b333b;--band:#1a2027;--bad:#ff9d5c}}
body{margin:0 auto;padding:0 0 48px;max-width:1250px;background:var(--page);color:var(--text);font:14px/1.45 system-ui,"Segoe UI","DejaVu Sans",sans-serif}
main{padding:0 24px}
.picture{overflow-x:auto}
.picture svg{display:block;min-width:760px;width:100%;height:auto}
h2{font-size:16px;margin:32px 0 8px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:5px 12px 5px 0;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--dim);font-weight:600}
td.n,th.n{text-align:right}
td.w,td.c{white-space:normal;min-width:16em;overflow-wrap:anywhere}
td.c{min-width:9em}
tr.bad td:first-child,tr.bad .s{color:var(--bad);font-weight:600}
code{font:12px/1.4 ui-monospace,"DejaVu Sans Mono",monospace;color:var(--dim);overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:0}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
@media print{body{max-width:none}}
</style>
</head>
<body>
<div class="picture">{{.Picture}}</div>
<main>
{{- $r := .Report}}
<h2>Verdict</h2>
<dl>
<dt>the last run ended</dt><dd>{{$r.Verdict.Ending}}{{with $r.Verdict.Cause}}, cause {{.}}{{end}}</dd>
<dt>because</dt><dd>{{$r.Verdict.Reason}}</dd>
{{- with $r.Verdict.Previous}}{{with .BootID}}
<dt>in boot</dt><dd><code>{{.}}</code></dd>{{end}}{{end}}
<dt>recovered in boot</dt><dd><code>{{$r.BootID}}</code></dd>
<dt>from</dt><dd>{{stamp $r.Started}}</dd>
{{- if not $r.Finished.IsZero}}
<dt>to READY</dt><dd>{{stamp $r.Finished}}</dd>
<dt>result</dt><dd>{{$r.Summary}}</dd>{{end}}
{{- with $r.Mode}}
<dt>mode</dt><dd>{{.}}</dd>{{end}}
{{- range $r.Notes}}
<dt>note</dt><dd>{{.}}</dd>{{end}}
</dl>
{{- with $r.Verdict.Evidence}}
<h2>Evidence</h2>
<div class="scroll"><table>
<tr><th>time</th><th>message</th><th>cursor</th></tr>
{{- range .}}
<tr><td>{{stamp .Time}}</td><td class="w">{{.Message}}</td><td class="c"><code>{{.Cursor}}</code></td></tr>{{end}}
</table></div>{{end}}
{{- with $r.Rows}}
<h2>Containers</h2>
<div class="scroll"><table>
<tr><th>container</th><th>tier</th><th>result</th><th class="n">tries</th><th class="n">queued</th><th class="n">started</th><th class="n">up</th><th class="n">took</th><th>unit</th><th>error</th></tr>
{{- range .}}
<tr{{if bad .}} class="bad"{{end}}><td class="c">{{.Name}}</td><td>{{tier .}}</td><td class="s">{{.State}}{{if eq .State "failed"}}{{with result .}} ({{.}}){{end}}{{end}}</td><td class="n">{{len .Attempts}}</td><td class="n">{{since $r .Queued}}</td><td class="n">{{since $r .Started}}</td><td class="n">{{since $r (up .)}}</td><td class="n">{{span .Took}}</td><td class="c">{{.Unit}}</td><td class="w">{{.Error}}</td></tr>{{end}}
</table></div>{{end}}
</main>
</body>
</html>
`
