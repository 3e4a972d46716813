package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// chart draws the medians as bars. Each row of the page is a group with its own
// scale. A thin line goes from the least to the most figure.
func chart(all []Result) string {
	const width, label, bar, gap = 980, 450, 18, 6
	scale := float64(width - label - 90)
	var b strings.Builder
	y := 10
	for _, r := range all {
		longest := 0.0
		for _, s := range r.Series {
			if s.Chart {
				longest = max(longest, slices.Max(s.Figures))
			}
		}
		if longest == 0 {
			continue
		}
		y += 20
		fmt.Fprintf(&b, "<text class=\"t\" x=\"10\" y=\"%d\">%s</text>\n", y, html.EscapeString(r.Title))
		y += 10
		for _, s := range r.Series {
			if !s.Chart {
				continue
			}
			class := "o"
			if strings.HasPrefix(s.Name, "archy-recovery") {
				class = "a"
			}
			mid := median(s.Figures)
			left := label + slices.Min(s.Figures)/longest*scale
			right := label + slices.Max(s.Figures)/longest*scale
			fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n",
				label-8, y+bar-5, html.EscapeString(s.Name))
			fmt.Fprintf(&b, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n",
				class, label, y, mid/longest*scale, bar)
			fmt.Fprintf(&b, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", left, right, y+bar/2, y+bar/2)
			fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", right+6, y+bar-5, number(mid, s.Unit))
			y += bar + gap
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" `+
		`role="img" aria-label="Times to ready, medians">
<style>
svg{background:#fff}text{font:13px system-ui,"DejaVu Sans",sans-serif;fill:#222}.t{font-weight:600}
rect.a{fill:#2b7a4b}rect.o{fill:#b0b7bf}line{stroke:#222}
</style>
%s</svg>
`, width, y+10, width, y+10, b.String())
}
