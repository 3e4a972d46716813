package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// chart draws the medians as bars, a group a row, each group with a scale of
// its own; a thin line is from the least to the most.
func chart(all []Result) string {
	const width, label, bar, gap = 860, 330, 18, 6
	scale := float64(width - label - 90)
	var b strings.Builder
	y := 10
	for _, r := range all {
		longest := 0.0
		for _, s := range r.Series {
			if s.Chart {
				longest = math.Max(longest, most(s.Figures))
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
			fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", label-8, y+bar-5, html.EscapeString(s.Name))
			fmt.Fprintf(&b, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n", class, label, y, mid/longest*scale, bar)
			fmt.Fprintf(&b, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n",
				label+least(s.Figures)/longest*scale, label+most(s.Figures)/longest*scale, y+bar/2, y+bar/2)
			fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", label+most(s.Figures)/longest*scale+6, y+bar-5, number(mid, s.Unit))
			y += bar + gap
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="Times to ready, medians">
<style>
svg{background:#fff}text{font:13px system-ui,"DejaVu Sans",sans-serif;fill:#222}.t{font-weight:600}
rect.a{fill:#2b7a4b}rect.o{fill:#b0b7bf}line{stroke:#222}
</style>
%s</svg>
`, width, y+10, width, y+10, b.String())
}

func least(figures []float64) float64 {
	n := figures[0]
	for _, f := range figures {
		n = math.Min(n, f)
	}
	return n
}

func most(figures []float64) float64 {
	n := figures[0]
	for _, f := range figures {
		n = math.Max(n, f)
	}
	return n
}
