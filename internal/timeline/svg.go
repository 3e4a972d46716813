package timeline

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// The picture's columns, in pixels of the viewBox.
const (
	width   = 1200.0
	margin  = 24.0
	nameEnd = 282.0 // names end here
	plotAt  = 294.0
	plotEnd = 978.0
	tookEnd = 1052.0 // durations end here
	wordAt  = 1064.0 // results begin here
)

// A picture is an SVG on its way. y is where the next thing goes.
type picture struct {
	strings.Builder
	report recover.Report
	now    time.Time
	end    time.Time
	bands  []band
	scale  scale
	row    float64 // height of a row
	font   float64 // of a row
	y      float64
}

// SVG draws a report. A recovery that is not finished is drawn until now, or,
// with a zero now, until the last thing that is known of it.
func SVG(w io.Writer, r recover.Report, now time.Time) error {
	_, err := io.WriteString(w, draw(r, now))
	return err
}

func draw(r recover.Report, now time.Time) string {
	p := &picture{report: r, now: now, end: lastMoment(r, now), bands: bands(r.Rows)}
	p.measure()
	p.head()
	p.legend()
	p.plot()
	p.foot()
	height := num(p.y + margin)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" class="timeline" viewBox="0 0 %s %s" width="%[1]s" height="%s" role="img" aria-label="%[4]s">
<style>
%[5]s</style>
%[6]s<rect class="page" width="%[1]s" height="%[2]s"/>
%[7]s</svg>
`, num(width), height, height, escape(p.title()), styleSheet(), patterns, p.String())
}

// measure chooses the rows' height by their number, and the time axis.
func (p *picture) measure() {
	rows := 0
	events := []time.Duration{p.since(p.end)}
	for _, b := range p.bands {
		rows += len(b.rows)
		for _, row := range b.rows {
			for _, t := range times(row) {
				events = append(events, p.since(t))
			}
		}
	}
	switch {
	case rows <= 12:
		p.row, p.font = 26, 13
	case rows <= 40:
		p.row, p.font = 21, 12
	default:
		p.row, p.font = 16, 11
	}
	p.scale = newScale(plotAt, plotEnd, events)
}

// since is the time since the recovery's start; a clock that was set back
// meanwhile makes it no less than 0.
func (p *picture) since(t time.Time) time.Duration { return max(0, t.Sub(p.report.Started)) }

func (p *picture) f(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// text writes text at a place; class is t for plain and d for dim text, b for
// bold, e and m to end or be centred there.
func (p *picture) text(x, y, size float64, class, text string) {
	p.f(`<text x="%s" y="%s" font-size="%s" class="%s">%s</text>`, num(x), num(y), num(size), class, escape(text))
}

func (p *picture) box(x, y, w, h float64, class string) {
	p.f(`<rect x="%s" y="%s" width="%s" height="%s" class="%s"/>`, num(x), num(y), num(w), num(h), class)
}

// title says which recovery this is and what the verdict was.
func (p *picture) title() string {
	name := "Recovery"
	if p.report.ID != 0 {
		name += " " + itoa(p.report.ID)
	}
	v := p.report.Verdict
	if v.Ending == "" {
		return name
	}
	name += " after " + Ending(v.Ending)
	if v.Cause != "" {
		name += ": " + strings.ReplaceAll(string(v.Cause), "-", " ")
	}
	return name
}

// Ending is an ending as it is read in a sentence.
func Ending(e recover.Ending) string {
	switch e {
	case recover.EndedCleanly:
		return "a clean stop"
	case recover.ServiceCrashed:
		return "a crash of the service"
	case recover.HostCrashed:
		return "a crash of the host"
	case recover.EndedUncleanly:
		return "an unclean end"
	}
	return string(e)
}

// head writes the title, the reason, and what came of it.
func (p *picture) head() {
	const stamp = "2006-01-02 15:04:05 MST"
	r := p.report
	p.y = margin + 20
	p.text(margin, p.y, 21, "t b", cut(p.title(), fits(width-2*margin, 21)))
	if r.Verdict.Reason != "" {
		p.y += 21
		p.text(margin, p.y, 12.5, "d", cut(r.Verdict.Reason, fits(width-2*margin, 12.5)))
	}
	result := "not finished"
	if !r.Finished.IsZero() {
		result = "READY after " + Span(r.Finished.Sub(r.Started)) + ", " + r.Summary()
	}
	p.y += 21
	facts := []string{"boot " + cmp.Or(short(r.BootID), "unknown"), r.Started.Format(stamp), result}
	p.text(margin, p.y, 12.5, "t", cut(strings.Join(facts, "  ·  "), fits(width-2*margin, 12.5)))
}

// legend shows the kinds that are in this picture.
func (p *picture) legend() {
	seen := map[kind]bool{}
	for _, b := range p.bands {
		for _, row := range b.rows {
			for _, s := range segments(row, p.end, p.end) {
				seen[s.kind] = true
			}
		}
	}
	if len(seen) == 0 {
		return
	}
	p.y += 28
	x := margin
	for _, l := range legend {
		if !seen[l.kind] {
			continue
		}
		p.segment(l.kind, x, p.y-10, 22, 12, "")
		p.text(x+28, p.y, 11.5, "d", l.text)
		x += 28 + float64(len(l.text))*11.5*0.5 + 26
	}
	if len(p.scale.breaks) > 0 {
		p.f(`<path d="M%s %sv14m22 0v-14" class="cut"/>`, num(x), num(p.y-11))
		p.text(x+28, p.y, 11.5, "d", "nothing changes, shortened")
	}
}

// plot draws axis, bands and bars.
func (p *picture) plot() {
	if len(p.bands) == 0 {
		p.y += 44
		p.text(margin, p.y, 13, "d", "Nothing was started.")
		return
	}
	const bandGap, axis = 5.0, 44.0
	p.y += 14
	top := p.y + axis
	bottom := top
	for _, b := range p.bands {
		bottom += float64(len(b.rows))*p.row + bandGap
	}
	bottom -= bandGap
	y := top
	for _, b := range p.bands { // below the grid
		h := float64(len(b.rows)) * p.row
		p.box(margin-8, y, width-2*margin+16, h, "band")
		y += h + bandGap
	}
	p.ticks(top, bottom)
	p.y = top
	for _, b := range p.bands {
		p.text(margin, p.y+p.baseline(), p.font, "t b", b.title)
		for _, row := range b.rows {
			p.bar(row)
			p.y += p.row
		}
		p.y += bandGap
	}
	p.y -= bandGap
	p.breaks(top, bottom)
	p.readyLine(top, bottom)
}

// baseline is where a row's text stands.
func (p *picture) baseline() float64 { return p.row/2 + p.font*0.36 }

// ticks draws the time axis, above and, below a tall picture, again.
func (p *picture) ticks(top, bottom float64) {
	tall := bottom-top > 500
	for _, d := range p.scale.ticks(64) {
		x := p.scale.at(d)
		p.f(`<path d="M%s %sV%s" class="grid"/>`, num(x), num(top-4), num(bottom))
		if math.Abs(x-p.scale.at(p.since(p.end))) < 18 {
			continue // the line of READY runs here
		}
		p.text(x, top-9, 11, "d m", tick(d))
		if tall {
			p.text(x, bottom+15, 11, "d m", tick(d))
		}
	}
	p.text(tookEnd, top-9, 11, "d e", "took")
	p.text(wordAt, top-9, 11, "d", "result")
}

// bar draws a container's line.
func (p *picture) bar(row recover.Row) {
	p.f(`<g class="row">`)
	p.f(`<title>%s</title>`, escape(p.tip(row)))
	p.text(nameEnd, p.y+p.baseline(), p.font, "t e", cutMiddle(row.Name, fits(nameEnd-margin-66, p.font)))
	height := p.row - max(4, p.row/5)
	for _, s := range segments(row, p.end, p.report.Started.Add(p.scale.end)) {
		x := p.scale.at(p.since(s.from))
		to := max(x, p.scale.at(p.since(s.to))) // also where a clock was set back
		p.segment(s.kind, x, p.y+(p.row-height)/2, to-x, height, s.why)
	}
	if took := row.Took(); took > 0 && !row.State.Pending() {
		p.text(tookEnd, p.y+p.baseline(), p.font, "d e", Span(took))
	}
	word, class := result(row)
	p.text(wordAt, p.y+p.baseline(), p.font, class, cut(word, fits(width-margin-wordAt+6, p.font)))
	p.f(`</g>`)
}

// segment draws a part of a bar. What is short is still seen.
func (p *picture) segment(k kind, x, y, w, h float64, why string) {
	const least = 1.5
	switch k {
	case queued:
		p.box(x, y+h/2-1, w, 2, "queued")
	case retry:
		p.f(`<path d="M%s %sH%s" class="pause"/>`, num(x), num(y+h/2), num(x+w))
	case waiting:
		p.f(`<rect x="%s" y="%s" width="%s" height="%s" fill="url(#tl-waiting)"/>`, num(x), num(y+h*0.3), num(w), num(h*0.4))
	case failed:
		w = max(w, 2*least)
		p.f(`<g><title>%s</title><rect x="%s" y="%s" width="%s" height="%s" fill="url(#tl-failed)"/><rect x="%[2]s" y="%[3]s" width="%[4]s" height="%[5]s" class="frame"/></g>`,
			escape(cmp.Or(why, "failed")), num(x), num(y), num(w), num(h))
	case other:
		p.box(x, y, max(w, least), h, "ended")
	default:
		p.box(x, y, max(w, least), h, string(k))
	}
}

// result is how it went, in a word or two, and how to write them.
func result(row recover.Row) (word, class string) {
	switch row.State {
	case recover.RowUp:
		if n := len(row.Attempts); n > 1 {
			return fmt.Sprintf("up, %s try", ordinal(n)), "t"
		}
		return "up", "d"
	case recover.RowFailed:
		word = "✗ failed"
		if n := len(row.Attempts); n > 1 {
			word += " " + howOften(n)
		}
		return word, "bad b"
	case recover.RowRetrying:
		return "✗ to be retried", "bad"
	}
	return string(row.State), "t"
}

func ordinal(n int) string {
	switch n {
	case 2:
		return "2nd"
	case 3:
		return "3rd"
	}
	return itoa(n) + "th"
}

// tip is what a viewer shows of a row when one points at it.
func (p *picture) tip(row recover.Row) string {
	tip := row.Name
	if row.Unit != "" {
		tip += " (" + row.Unit + ")"
	}
	tip += ": " + string(row.State)
	for i, a := range row.Attempts {
		tip += fmt.Sprintf("\nattempt %d at %s", i+1, Span(p.since(a.Started)))
		if !a.Ended.IsZero() {
			tip += ", took " + Span(a.Ended.Sub(a.Started))
		}
		if a.Error != "" {
			tip += ": " + a.Error
		}
	}
	if row.Error != "" && len(row.Attempts) == 0 {
		tip += "\n" + row.Error
	}
	return tip
}

func howOften(n int) string {
	if n == 2 {
		return "twice"
	}
	return itoa(n) + "×"
}

// tick is a label of the axis.
func tick(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return Span(d)
}

// breaks veils the times that the axis leaves out, and says how long they are.
func (p *picture) breaks(top, bottom float64) {
	for _, b := range p.scale.breaks {
		x, to := p.scale.at(b.from), p.scale.at(b.to)
		p.f(`<rect x="%s" y="%s" width="%s" height="%s" class="veil" opacity="0.78"/>`, num(x), num(top-4), num(to-x), num(bottom-top+8))
		p.f(`<path d="M%s %sV%sM%s %[2]sV%[3]s" class="cut"/>`, num(x), num(top-4), num(bottom+4), num(to))
		p.text((x+to)/2, top-9, 10.5, "d m", "+"+Span(b.length().Round(time.Second)))
	}
}

// readyLine marks READY, or how far an unfinished recovery has come.
func (p *picture) readyLine(top, bottom float64) {
	at := p.since(p.end)
	class, word, colour := "line", "READY "+Span(at), "good b"
	if p.report.Finished.IsZero() {
		class, word, colour = "now", "so far "+Span(at), "d b"
	}
	x := p.scale.at(at)
	p.f(`<path d="M%s %sV%s" class="%s"/>`, num(x), num(top-24), num(bottom+4), class)
	anchor := "m"
	if x > plotEnd-60 {
		anchor, x = "e", min(x+40, width-margin)
	}
	p.text(x, top-29, 12, colour+" "+anchor, word)
	if bottom-top > 500 {
		p.y += 18
	}
}
