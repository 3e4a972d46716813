package timeline

import (
	"fmt"
	"strings"
)

// A palette is the colours of the picture. They are those of Okabe and Ito
// (https://jfly.uni-koeln.de/color/), which colour-blind people can tell apart.
// Failure also has a pattern and a word.
type palette struct {
	page, text, dim, grid, band, bad                        string
	queued, starting, up, failed, pause, waiting, readyLine string
}

var (
	light = palette{
		page: "#ffffff", text: "#1c2128", dim: "#5b6570", grid: "#dfe4e9", band: "#f4f6f8", bad: "#b34700",
		queued: "#aab3bd", starting: "#0072b2", up: "#c3e6da", failed: "#d55e00", pause: "#8b949e",
		waiting: "#e69f00", readyLine: "#00735a",
	}
	dark = palette{
		page: "#12161b", text: "#e4e9ee", dim: "#98a3ae", grid: "#2b333b", band: "#1a2027", bad: "#ff9d5c",
		queued: "#5c6773", starting: "#56b4e9", up: "#1d4a3e", failed: "#ff8b3d", pause: "#7b8793",
		waiting: "#f0b840", readyLine: "#3fd0a2",
	}
)

// styleSheet returns the content of the picture's <style>. Each rule begins with
// .timeline, so that it does not apply to a page around the picture.
func styleSheet() string {
	var b strings.Builder
	b.WriteString(`.timeline{font-family:system-ui,"Segoe UI","DejaVu Sans",sans-serif;` +
		"font-variant-numeric:tabular-nums}\n")
	b.WriteString(".timeline .b{font-weight:600}.timeline .e{text-anchor:end}.timeline .m{text-anchor:middle}\n")
	b.WriteString(".timeline .grid,.timeline .cut{stroke-width:1}.timeline .cut{stroke-dasharray:2 3}\n")
	b.WriteString(".timeline .line{stroke-width:1.6}.timeline .now{stroke-width:1.6;stroke-dasharray:5 4}\n")
	b.WriteString(".timeline .cross{stroke-width:2.4;stroke-linecap:round}\n")
	b.WriteString(".timeline .pause{stroke-width:2;stroke-dasharray:2 3}\n")
	light.rules(&b)
	b.WriteString("@media (prefers-color-scheme:dark){\n")
	dark.rules(&b)
	b.WriteString("}\n")
	return b.String()
}

func (p palette) rules(b *strings.Builder) {
	fill := func(class, colour string) { fmt.Fprintf(b, ".timeline .%s{fill:%s}", class, colour) }
	stroke := func(class, colour string) { fmt.Fprintf(b, ".timeline .%s{stroke:%s;fill:none}", class, colour) }
	fill("page", p.page)
	fill("t", p.text)
	fill("d", p.dim)
	fill("band", p.band)
	fill("bad", p.bad)
	fill("failed", p.failed)
	fill("good", p.readyLine)
	b.WriteByte('\n')
	fill("queued", p.queued)
	fill("starting", p.starting)
	fill("ready", p.up)
	fill("again", p.up)
	fill("ended", p.queued)
	fill("wait", p.waiting)
	fill("veil", p.page)
	b.WriteByte('\n')
	stroke("pause", p.pause)
	stroke("grid", p.grid)
	stroke("cut", p.dim)
	stroke("line", p.readyLine)
	stroke("now", p.dim)
	stroke("hatch", p.page)
	stroke("frame", p.failed)
	stroke("cross", p.failed)
	b.WriteByte('\n')
}

// patterns are the fills of failed attempts, waits and restarts. They are recognisable
// without colour.
const patterns = `<defs>
<pattern id="tl-failed" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">` +
	`<rect width="6" height="6" class="failed"/><path d="M0 3H6" class="hatch" stroke-width="1.6"/></pattern>
<pattern id="tl-waiting" width="5" height="5" patternUnits="userSpaceOnUse">` +
	`<rect width="2.6" height="5" class="wait"/></pattern>
<pattern id="tl-restarting" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">` +
	`<rect width="7" height="7" class="again"/><rect width="7" height="3" class="failed"/></pattern>
</defs>
`
