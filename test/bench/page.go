package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	pageFile    = "docs/benchmarks.md"
	chartFile   = "docs/benchmarks.svg"
	resultsFile = "docs/benchmarks.json"
	begin       = "<!-- written by `make bench`, not by hand -->"
	end         = "<!-- end of what `make bench` writes -->"
)

// method is what a reader has to know of how the figures came about.
const method = `Each figure is of a throwaway Debian 13 machine (systemd-nspawn, test/machine) with
everything that is compared installed on the one image: archy-recovery, podman, Docker.
The plug is pulled (every process of the machine is killed at once), the machine boots, and
when it idles one of the entrants is started. Entrants take turns within a round, each
round is one pair, and ratios are taken pair by pair: then what else the host does meets
both. Medians, with the least and the most beside them. "Ready" is what the container's
program says by listening on a socket, and is looked for every 10 ms, for all alike; "READY"
is when ` + "`systemctl start archy-recovery`" + ` returns. Every archy-recovery heat starts with the same
state on disk, and with nobody suspected of the crash.

The entrants, beside archy-recovery: **unordered**, one ` + "`systemctl start`" + ` of all Quadlet units,
what systemd and podman need at least; **ordered**, the same with the units of a tier After=
all of the tier below, the least that an ordered start needs; **the old module**, its
algorithm as a script (test/bench/scripts/old-module.sh); **podman-restart.service** and
**Docker** with --restart=always.
`

// why says what bounds a row, or what it does not show. The figures are beside it.
var why = map[string]string{
	"trivial": "What is above the floor by the clock passes before the first start: systemd sets up the sandbox and loads the units, and the " +
		"journal is read for what happened after the snapshot. Between tiers nothing is lost. Thirty podman commands on two CPUs do not take " +
		"the same time twice: the medians of five rounds differ by some hundredths from run to run.",
	"slow": "What is above the critical path is podman's, and is so in the ordered units too.",
	"old": "The old module sleeps 87 s whatever the host does; what we need grows with the load of the host. " +
		"It does not wait until a container is ready, and starts what it starts in no order of tiers.",
	"tick": "The target is for our own processes. podman ps is what the module before this one ran every two minutes; with the start of " +
		"podman's service that answers us, a tick costs about as much.",
}

// page is the document between its markers.
func page(all []Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n![Times to ready](benchmarks.svg)\n\n## Targets\n\n", begin, method)
	b.WriteString("| what | target | median | least – most | rounds | met |\n|---|---|---|---|---|---|\n")
	for _, r := range all {
		for _, c := range r.Claims {
			met := "**no**"
			if c.Met {
				met = "yes"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %d | %s |\n", c.What, c.Target, number(median(c.Figures), c.Unit),
				spread(c.Figures, c.Unit), len(c.Figures), met)
		}
	}
	for _, r := range all {
		fmt.Fprintf(&b, "\n## %s\n\n", r.Title)
		if len(r.Series) > 0 {
			b.WriteString("| | median | least – most | n |\n|---|---|---|---|\n")
		}
		for _, s := range r.Series {
			fmt.Fprintf(&b, "| %s | %s | %s | %d |\n", s.Name, number(median(s.Figures), s.Unit), spread(s.Figures, s.Unit), len(s.Figures))
		}
		if len(r.Series) > 0 {
			b.WriteString("\n")
		}
		if text := why[r.Row]; text != "" {
			fmt.Fprintf(&b, "%s\n\n", text)
		}
		for _, n := range r.Notes {
			fmt.Fprintf(&b, "%s\n\n", n)
		}
		fmt.Fprintf(&b, "`-only %s`, %s, %s; load of the host before and after: %s; %s.\n", r.Row, r.When, r.Host, r.Load, r.With)
	}
	return b.String() + "\n" + end
}

func number(n float64, unit string) string {
	text := fmt.Sprintf("%.2f", n)
	if n == float64(int(n)) && unit != "s" && unit != "" {
		text = fmt.Sprintf("%d", int(n))
	} else if n >= 100 {
		text = fmt.Sprintf("%.0f", n)
	}
	return strings.TrimSpace(text + " " + unit)
}

func spread(figures []float64, unit string) string {
	if len(figures) < 2 {
		return ""
	}
	return number(slices.Min(figures), unit) + " – " + number(slices.Max(figures), unit)
}

// writePage replaces what stands between the markers; what people wrote around
// them stays.
func writePage(all []Result) error {
	text, err := os.ReadFile(pageFile)
	if err != nil || !strings.Contains(string(text), begin) || !strings.Contains(string(text), end) {
		text = []byte("# Benchmarks\n\n" + begin + end + "\n")
	}
	before, rest, _ := strings.Cut(string(text), begin)
	_, after, _ := strings.Cut(rest, end)
	if err := os.WriteFile(chartFile, []byte(chart(all)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(pageFile, []byte(before+page(all)+after), 0o644)
}
