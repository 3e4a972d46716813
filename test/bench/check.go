package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// fewest is the number of figures from which a spread says something.
const fewest = 3

// committed reads the results that the page shows.
func committed() (all []Result, err error) {
	text, err := os.ReadFile(resultsFile)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	return all, err
}

// worse says in what the claims of a result are worse than those of the committed one, a line
// each. A ratio is worse if its median lies outside the committed spread. Times and sizes depend
// on the host. So they are worse only if they miss a target that was met. So is a ratio
// of few figures.
func worse(before []Result, now Result) (lines []string) {
	at := slices.IndexFunc(before, func(r Result) bool { return r.Row == now.Row })
	if at < 0 {
		return nil
	}
	for _, c := range now.Claims {
		i := slices.IndexFunc(before[at].Claims, func(old Claim) bool { return old.What == c.What })
		if i < 0 {
			continue
		}
		old, mid := before[at].Claims[i], median(c.Figures)
		least, most := slices.Min(old.Figures), slices.Max(old.Figures)
		outside := mid > most
		if strings.HasPrefix(c.Target, "≥") {
			outside = mid < least
		}
		switch {
		case c.Unit == "" && len(old.Figures) >= fewest && outside:
			lines = append(lines, fmt.Sprintf("%s: %s, and the committed figures are %s",
				c.What, number(mid, c.Unit), spread(old.Figures, c.Unit)))
		case (c.Unit != "" || len(old.Figures) < fewest) && old.Met && !c.Met:
			lines = append(lines, fmt.Sprintf("%s: %s, and the target is %s", c.What, number(mid, c.Unit), c.Target))
		}
	}
	return lines
}
