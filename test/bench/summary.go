package main

import (
	"fmt"
	"slices"
	"strings"
)

const ours = "archy-recovery"

// A look is a line of the summary: a scenario, the time of archy-recovery, and those of its peers.
type look struct {
	scenario string
	own      Series
	peers    []Series
}

// looks pairs the series that the picture shows: each of archy-recovery with the peers behind it.
func looks(all []Result) (found []look) {
	for _, r := range all {
		begin := len(found)
		for _, s := range r.Series {
			who, what, _ := strings.Cut(s.Name, ", ")
			switch {
			case !s.Chart:
			case who == ours:
				found = append(found, look{scenario: r.Title + ": " + what, own: s})
			case strings.HasPrefix(who, ours): // another setting of it
			case len(found) > begin:
				found[len(found)-1].peers = append(found[len(found)-1].peers, s)
			}
		}
	}
	return slices.DeleteFunc(found, func(l look) bool { return len(l.peers) == 0 })
}

// summary is the table that a reader takes in at one look.
func summary(all []Result) string {
	var b strings.Builder
	b.WriteString("| scenario | archy-recovery | others |\n|---|---|---|\n")
	for _, l := range looks(all) {
		var peers []string
		for _, s := range l.peers {
			who, _, _ := strings.Cut(s.Name, ", ")
			peers = append(peers, who+" "+number(median(s.Figures), s.Unit))
		}
		fmt.Fprintf(&b, "| %s | **%s** | %s |\n",
			l.scenario, number(median(l.own.Figures), l.own.Unit), strings.Join(peers, "; "))
	}
	return b.String()
}
