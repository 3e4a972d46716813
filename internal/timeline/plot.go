package timeline

import (
	"math"
	"time"
)

// plot draws the bands, the time axis and the bars.
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
		bottom += float64(len(b.rows))*p.rowSize + bandGap
	}
	bottom -= bandGap
	y := top
	for _, b := range p.bands { // first, so that the grid is drawn over them
		h := float64(len(b.rows)) * p.rowSize
		p.box(margin-8, y, width-2*margin+16, h, "band")
		y += h + bandGap
	}
	p.grid(top, bottom)
	p.y = top
	for _, b := range p.bands {
		p.text(margin, p.y+p.baseline(), p.font, "t b", b.title)
		for _, row := range b.rows {
			p.row(row)
			p.y += p.rowSize
		}
		p.y += bandGap
	}
	p.y -= bandGap
	p.breaks(top, bottom)
	p.readyLine(top, bottom)
}

// baseline returns the place of a row's text, from the row's top.
func (p *picture) baseline() float64 { return p.rowSize/2 + p.font*0.36 }

// isTall reports whether the plot is so tall that its axis is labelled below,
// too.
func isTall(top, bottom float64) bool { return bottom-top > 500 }

// grid draws the lines of the time axis and their labels.
func (p *picture) grid(top, bottom float64) {
	for _, d := range p.scale.ticks(64) {
		x := p.scale.at(d)
		p.printf(`<path d="M%s %sV%s" class="grid"/>`, num(x), num(top-4), num(bottom))
		if math.Abs(x-p.scale.at(p.since(p.end))) < 18 {
			continue // the line of READY is there
		}
		p.text(x, top-9, 11, "d m", tickLabel(d))
		if isTall(top, bottom) {
			p.text(x, bottom+15, 11, "d m", tickLabel(d))
		}
	}
	p.text(tookEnd, top-9, 11, "d e", "took")
	p.text(resultAt, top-9, 11, "d", "result")
}

func tickLabel(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return Span(d)
}

// breaks veils the times that the axis shortens, and labels them with their
// length.
func (p *picture) breaks(top, bottom float64) {
	for _, b := range p.scale.breaks {
		x, to := p.scale.at(b.from), p.scale.at(b.to)
		p.printf(`<rect x="%s" y="%s" width="%s" height="%s" class="veil" opacity="0.78"/>`,
			num(x), num(top-4), num(to-x), num(bottom-top+8))
		p.printf(`<path d="M%s %sV%sM%s %[2]sV%[3]s" class="cut"/>`, num(x), num(top-4), num(bottom+4), num(to))
		p.text((x+to)/2, top-9, 10.5, "d m", "+"+Span(b.length().Round(time.Second)))
	}
}

// readyLine marks READY, or the end of what is known of a recovery that is not
// finished.
func (p *picture) readyLine(top, bottom float64) {
	at := p.since(p.end)
	lineClass, label, labelClass := "line", "READY "+Span(at), "good b"
	if p.report.Finished.IsZero() {
		lineClass, label, labelClass = "now", "so far "+Span(at), "d b"
	}
	x := p.scale.at(at)
	p.printf(`<path d="M%s %sV%s" class="%s"/>`, num(x), num(top-24), num(bottom+4), lineClass)
	anchor := "m"
	if x > plotTo-60 {
		anchor, x = "e", min(x+40, width-margin)
	}
	p.text(x, top-29, 12, labelClass+" "+anchor, label)
	if isTall(top, bottom) {
		p.y += 18
	}
}
