package timeline

import (
	"cmp"
	"strconv"
	"strings"

	"archy-recovery/internal/recover"
)

// header writes the title, the verdict's reason, and the result.
func (p *picture) header() {
	const stamp = "2006-01-02 15:04:05 MST"
	r := p.report
	p.y = margin + 20
	p.text(margin, p.y, 21, "t b", shorten(p.title(), maxLetters(width-2*margin, 21)))
	if r.Verdict.Reason != "" {
		p.y += 21
		p.text(margin, p.y, 12.5, "d", shorten(r.Verdict.Reason, maxLetters(width-2*margin, 12.5)))
	}
	result := "not finished"
	if !r.Finished.IsZero() {
		result = "READY after " + Span(r.Finished.Sub(r.Started)) + ", " + r.Summary()
	}
	p.y += 21
	facts := []string{"boot " + cmp.Or(shortBootID(r.BootID), "unknown"), r.Started.Format(stamp), result}
	p.text(margin, p.y, 12.5, "t", shorten(strings.Join(facts, "  ·  "), maxLetters(width-2*margin, 12.5)))
}

// title says which recovery this is, and the verdict.
func (p *picture) title() string {
	name := "Recovery"
	if p.report.ID != 0 {
		name += " " + strconv.Itoa(p.report.ID)
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

// Ending returns an ending's words for a sentence that goes "after …".
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
	case recover.EndedEarly:
		return "a stop with work left"
	}
	return string(e)
}

// legend explains the kinds of segment that this picture has.
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
	const shortened = "nothing changes, shortened"
	x := margin
	wrap := func(text string) {
		if x+legendWidth(text) > width-margin {
			p.y += 18
			x = margin
		}
	}
	for _, l := range kindTexts {
		if !seen[l.kind] {
			continue
		}
		wrap(l.text)
		p.segment(l.kind, x, p.y-10, 22, 12, "")
		p.text(x+28, p.y, 11.5, "d", l.text)
		x += legendWidth(l.text) + 26
	}
	if len(p.scale.breaks) > 0 {
		wrap(shortened)
		p.printf(`<path d="M%s %sv14m22 0v-14" class="cut"/>`, num(x), num(p.y-11))
		p.text(x+28, p.y, 11.5, "d", shortened)
	}
}

// legendWidth is the width of a legend's entry.
func legendWidth(text string) float64 { return 28 + float64(len(text))*11.5*0.5 }
