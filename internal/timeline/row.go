package timeline

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"archy-recovery/internal/recover"
)

// row draws a container's name, bar, duration and result.
func (p *picture) row(row recover.Row) {
	p.printf(`<g class="row">`)
	p.printf(`<title>%s</title>`, escape(p.tooltip(row)))
	name := shortenMiddle(row.Name, maxLetters(nameEnd-margin-66, p.font))
	p.text(nameEnd, p.y+p.baseline(), p.font, "t e", name)
	height := p.rowSize - max(4, p.rowSize/5)
	for _, s := range segments(row, p.end, p.report.Started.Add(p.scale.end)) {
		x := p.scale.at(p.since(s.from))
		to := max(x, p.scale.at(p.since(s.to))) // at least x, even if a clock was set back
		p.segment(s.kind, x, p.y+(p.rowSize-height)/2, to-x, height, s.why)
	}
	p.exit(row)
	if took := row.Took(); took > 0 && !row.State.Pending() {
		p.text(tookEnd, p.y+p.baseline(), p.font, "d e", Span(took))
	}
	label, class := result(row)
	label = shorten(label, maxLetters(width-margin-resultAt+6, p.font))
	p.text(resultAt, p.y+p.baseline(), p.font, class, label)
	p.printf(`</g>`)
}

// segment draws a segment. It makes short ones wide enough to see.
func (p *picture) segment(k kind, x, y, w, h float64, why string) {
	const least = 1.5
	switch k {
	case kindQueued:
		p.box(x, y+h/2-1, w, 2, "queued")
	case kindPause:
		p.printf(`<path d="M%s %sH%s" class="pause"/>`, num(x), num(y+h/2), num(x+w))
	case kindWaiting:
		p.printf(`<rect x="%s" y="%s" width="%s" height="%s" fill="url(#tl-waiting)"/>`,
			num(x), num(y+h*0.3), num(w), num(h*0.4))
	case kindFailed:
		w = max(w, 2*least)
		p.printf(`<g><title>%s</title><rect x="%s" y="%s" width="%s" height="%s" fill="url(#tl-failed)"/>`+
			`<rect x="%[2]s" y="%[3]s" width="%[4]s" height="%[5]s" class="frame"/></g>`,
			escape(cmp.Or(why, "failed")), num(x), num(y), num(w), num(h))
	case kindOther:
		p.box(x, y, max(w, least), h, "ended")
	case kindRestarting:
		p.titled(why, func() {
			p.printf(`<rect x="%s" y="%s" width="%s" height="%s" fill="url(#tl-restarting)"/>`,
				num(x), num(y), num(max(w, 2*least)), num(h))
		})
	case kindFell, kindRestarted, kindDone:
		p.titled(why, func() { p.mark(k, x+w/2, y, h) })
	default:
		p.box(x, y, max(w, least), h, string(k))
	}
}

// titled draws something that a viewer explains when the mouse points at it.
func (p *picture) titled(why string, drawing func()) {
	p.printf(`<g>`)
	if why != "" {
		p.printf(`<title>%s</title>`, escape(why))
	}
	drawing()
	p.printf(`</g>`)
}

// mark draws a moment: a fall is a cross at the bar's end, a restart a bar across
// it, the end of a job a dot.
func (p *picture) mark(k kind, x, y, h float64) {
	arm := min(h/2, 6)
	middle := y + h/2
	switch k {
	case kindFell:
		p.box(x-1.5, y, 3, h, "failed")
		p.printf(`<path d="M%s %sL%s %sM%[1]s %[4]sL%[3]s %[2]s" class="cross"/>`,
			num(x-arm), num(middle-arm), num(x+arm), num(middle+arm))
	case kindRestarted:
		p.box(x-1.5, y, 3, h, "wait")
	case kindDone:
		p.printf(`<circle cx="%s" cy="%s" r="%s" class="good"/>`, num(x), num(middle), num(min(h/2, 5)))
	}
}

// exit writes beside the mark of a fall how the container ended. Where it fell at
// every attempt only the last one has room for it.
func (p *picture) exit(row recover.Row) {
	last := row.LastAttempt()
	if row.State != recover.RowFell || last == nil || last.Fell == nil {
		return
	}
	size := p.font - 1.5
	text := last.Fell.End()
	x, class := p.scale.at(p.since(last.Fell.At))+10, "bad"
	if x+float64(len(text))*size*letterWidth > plotTo {
		x, class = x-20, "bad e"
	}
	p.text(x, p.y+p.baseline(), size, class, text)
}

// result returns a row's result in a word or two, and their class.
func result(row recover.Row) (label, class string) {
	switch row.State {
	case recover.RowUp:
		if n := len(row.Attempts); n > 1 {
			return fmt.Sprintf("up, %s try", ordinal(n)), "t"
		}
		if row.Restarts > 0 {
			return fmt.Sprintf("up, %d restarts", row.Restarts), "t"
		}
		if len(row.Stopped) > 0 {
			return "up without " + strings.Join(row.Stopped, ", "), "t"
		}
		return "up", "d"
	case recover.RowFell:
		return "✗ fell", "bad b"
	case recover.RowRestarting:
		return "✗ restarting", "bad b"
	case recover.RowFailed:
		label = "✗ failed"
		if n := len(row.Attempts); n > 1 {
			label += " " + times(n)
		}
		return label, "bad b"
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
	return strconv.Itoa(n) + "th"
}

func times(n int) string {
	if n == 2 {
		return "twice"
	}
	return strconv.Itoa(n) + "×"
}

// explanation returns the cause with the advice, and the lines of output.
func explanation(why recover.Explanation) (lines []string) {
	if text := strings.TrimSpace(why.Cause + " " + why.Advice); text != "" {
		lines = append(lines, text)
	}
	return append(lines, why.Output...)
}

// tooltip is what a viewer shows when the mouse points at a row.
func (p *picture) tooltip(row recover.Row) string {
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
		if a.Why != nil {
			tip += "\n" + strings.Join(explanation(*a.Why), "\n")
		}
	}
	if row.Error != "" && len(row.Attempts) == 0 {
		tip += "\n" + row.Error
	}
	for _, note := range []string{row.WithoutStopped(), row.HealthNote()} {
		if note != "" {
			tip += "\n" + note
		}
	}
	return tip
}
