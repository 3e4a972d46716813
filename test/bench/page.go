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
	pageBegin   = "<!-- written by `make bench`, not by hand -->"
	pageEnd     = "<!-- end of what `make bench` writes -->"
)

// method explains how the figures are measured.
const method = `Each figure comes from a temporary Debian 13 machine (systemd-nspawn, test/machine).
All contenders are installed on one image: archy-recovery, podman and Docker.

In a trial, the power fails: every process of the machine is killed at once. The machine
boots. When it idles, one contender is started. The contenders take turns within a round, so
that other load of the host affects all of them. Ratios are taken within a round. A row may be of
another day than the next one, and of a faster or slower host: compare within a row only. The
tables show medians with the least and the most figure.

A container is "ready" when its program listens on a socket. The bench looks for the sockets
every 10 ms, for all contenders alike. "READY" is the end of
` + "`systemctl start archy-recovery`" + `. Every trial of archy-recovery starts with the same state on
the disk, and without suspects.

The contenders in addition to archy-recovery are:

- **unordered**: one ` + "`systemctl start`" + ` of all Quadlet units. systemd and podman need at least this
  time.
- **ordered**: the same, with each unit After= all units of the tier below. An ordered start
  needs at least this time.
- **the old module**: its algorithm as a script (test/bench/scripts/old-module.sh).
- **podman-restart.service**, and **Docker** with --restart=always.
`

// longTable is from how many figures on a table is folded.
const longTable = 6

// why explains the figures of a row, or their limits.
var why = map[string]string{
	"trivial": "The time above the minimum passes before the first start. systemd sets up the sandbox and loads the " +
		"units, and the daemon reads the journal for events after the snapshot. Between tiers no time is lost. Thirty " +
		"podman commands on two CPUs vary: the medians of five rounds differ by some hundredths from run to run.",
	"slow": "The time above the critical path is podman's. The ordered units need it, too.",
	"old": "The old module sleeps 87 s at any load. The time of archy-recovery grows with the load of the host. " +
		"The old module does not wait until a container is ready, and has no tiers.",
	"tick": "The target is for archy-recovery's own processes. The old module ran podman ps every two minutes. " +
		"With the start of podman's service, which answers the daemon, a tick costs about as much.",
}

// page returns the text between the document's markers.
func page(all []Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n## At one look\n\n%s\n![Times to ready](benchmarks.svg)\n\n## How it is measured\n\n%s\n"+
		"## Targets\n\n", pageBegin, summary(all), method)
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
		folded := len(r.Series) > longTable
		if folded {
			fmt.Fprintf(&b, "<details>\n<summary>%d figures</summary>\n\n", len(r.Series))
		}
		if len(r.Series) > 0 {
			b.WriteString("| | median | least – most | n |\n|---|---|---|---|\n")
		}
		for _, s := range r.Series {
			fmt.Fprintf(&b, "| %s | %s | %s | %d |\n",
				s.Name, number(median(s.Figures), s.Unit), spread(s.Figures, s.Unit), len(s.Figures))
		}
		if len(r.Series) > 0 {
			b.WriteString("\n")
		}
		if folded {
			b.WriteString("</details>\n\n")
		}
		if text := why[r.Row]; text != "" {
			fmt.Fprintf(&b, "%s\n\n", text)
		}
		for _, n := range r.Notes {
			fmt.Fprintf(&b, "%s\n\n", n)
		}
		fmt.Fprintf(&b, "`-only %s`, %s, %s; load of the host before and after: %s; %s.\n",
			r.Row, r.When, r.Host, r.Load, r.With)
	}
	return b.String() + "\n" + pageEnd
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

// writePage replaces the text between the markers. The text around them stays.
func writePage(all []Result) error {
	text, err := os.ReadFile(pageFile)
	if err != nil || !strings.Contains(string(text), pageBegin) || !strings.Contains(string(text), pageEnd) {
		text = []byte("# Benchmarks\n\n" + pageBegin + pageEnd + "\n")
	}
	before, rest, _ := strings.Cut(string(text), pageBegin)
	_, after, _ := strings.Cut(rest, pageEnd)
	if err := os.WriteFile(chartFile, []byte(chart(all)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(pageFile, []byte(before+page(all)+after), 0o644)
}
