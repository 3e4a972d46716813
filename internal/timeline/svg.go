package timeline

import (
	"fmt"
	"io"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// The picture's columns, in pixels of the viewBox.
const (
	width    = 1200.0
	margin   = 24.0
	nameEnd  = 282.0 // names end here
	plotFrom = 294.0 // the time axis
	plotTo   = 978.0
	tookEnd  = 1052.0 // durations end here
	resultAt = 1064.0 // results begin here
)

// A picture is an SVG that is being written.
type picture struct {
	strings.Builder
	report  recover.Report
	end     time.Time // of the report, or now
	bands   []band
	scale   scale
	rowSize float64 // height of a row
	font    float64 // font size of a row
	y       float64 // where the next thing goes
}

// SVG draws a report. A recovery that is not finished is drawn until now, or,
// if now is zero, until its last event.
func SVG(w io.Writer, r recover.Report, now time.Time) error {
	_, err := io.WriteString(w, draw(r, now))
	return err
}

func draw(r recover.Report, now time.Time) string {
	p := &picture{report: r, end: endOf(r, now), bands: bands(r.Rows)}
	p.measure()
	p.header()
	p.legend()
	p.plot()
	p.footer()
	w, h := num(width), num(p.y+margin)
	return `<svg xmlns="http://www.w3.org/2000/svg" class="timeline" viewBox="0 0 ` + w + ` ` + h +
		`" width="` + w + `" height="` + h + `" role="img" aria-label="` + escape(p.title()) + `">` + "\n" +
		"<style>\n" + styleSheet() + "</style>\n" +
		patterns + `<rect class="page" width="` + w + `" height="` + h + `"/>` + "\n" +
		p.String() + "</svg>\n"
}

// measure chooses the height of the rows, by their number, and the time axis.
func (p *picture) measure() {
	rows := 0
	changes := []time.Duration{p.since(p.end)}
	for _, b := range p.bands {
		rows += len(b.rows)
		for _, row := range b.rows {
			for _, t := range events(row) {
				changes = append(changes, p.since(t))
			}
		}
	}
	switch {
	case rows <= 12:
		p.rowSize, p.font = 26, 13
	case rows <= 40:
		p.rowSize, p.font = 21, 12
	default:
		p.rowSize, p.font = 16, 11
	}
	p.scale = newScale(plotFrom, plotTo, changes)
}

// since returns the time since the recovery's start. It is 0 for a time before
// that, which a clock that was set back causes.
func (p *picture) since(t time.Time) time.Duration { return max(0, t.Sub(p.report.Started)) }

func (p *picture) printf(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// text writes text at a place. class is "t" for plain or "d" for dim text, and
// further "b" for bold, "e" to end at x, or "m" to be centred there.
func (p *picture) text(x, y, size float64, class, text string) {
	p.printf(`<text x="%s" y="%s" font-size="%s" class="%s">%s</text>`, num(x), num(y), num(size), class, escape(text))
}

func (p *picture) box(x, y, w, h float64, class string) {
	p.printf(`<rect x="%s" y="%s" width="%s" height="%s" class="%s"/>`, num(x), num(y), num(w), num(h), class)
}
