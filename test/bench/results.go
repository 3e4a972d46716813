package main

import (
	"encoding/json"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// A Result holds the figures of one row. A file keeps all results, so that a run of
// some rows keeps the figures of the others.
type Result struct {
	Row    string   `json:"row"`
	Title  string   `json:"title"`
	Rounds int      `json:"rounds"`
	When   string   `json:"when"`
	Host   string   `json:"host"`
	Load   string   `json:"load"` // of the host, before and after
	With   string   `json:"with"` // versions of the compared software
	Claims []Claim  `json:"claims,omitempty"`
	Series []Series `json:"series,omitempty"`
	Notes  []string `json:"notes,omitempty"`
}

// A Claim is a figure with a target.
type Claim struct {
	What    string    `json:"what"`
	Target  string    `json:"target"`
	Figures []float64 `json:"figures"`
	Unit    string    `json:"unit,omitempty"`
	Met     bool      `json:"met"`
}

// A Series is one figure, measured several times.
type Series struct {
	Name    string    `json:"name"`
	Unit    string    `json:"unit"`
	Figures []float64 `json:"figures"`
	Chart   bool      `json:"chart,omitempty"` // the picture shows it
}

// add adds a series.
func (r *Result) add(name, unit string, figures []float64) {
	r.Series = append(r.Series, Series{Name: name, Unit: unit, Figures: figures})
}

// draw adds a series that the picture shows.
func (r *Result) draw(name, unit string, figures []float64) {
	r.Series = append(r.Series, Series{name, unit, figures, true})
}

// claimAtMost claims that the median is at most the limit.
func (r *Result) claimAtMost(what, target, unit string, figures []float64, limit float64) {
	r.Claims = append(r.Claims, Claim{what, target, figures, unit, median(figures) <= limit})
}

// claimAtLeast claims that the median is at least the limit.
func (r *Result) claimAtLeast(what, target, unit string, figures []float64, limit float64) {
	r.Claims = append(r.Claims, Claim{what, target, figures, unit, median(figures) >= limit})
}

// note adds a sentence to the row.
func (r *Result) note(text string) { r.Notes = append(r.Notes, text) }

// median returns the median. For an even number of figures, it is the mean of the
// middle two.
func median(figures []float64) float64 {
	s := slices.Sorted(slices.Values(figures))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// merge replaces the results of these rows in the file, and writes the page. A lock
// on the file lets two runs with different rows share it.
func merge(results ...Result) error {
	f, err := os.OpenFile(resultsFile, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	text, err := os.ReadFile(resultsFile)
	if err != nil {
		return err
	}
	var all []Result
	if len(text) > 0 {
		if err := json.Unmarshal(text, &all); err != nil {
			return err
		}
	}
	for _, r := range results {
		all = slices.DeleteFunc(all, func(old Result) bool { return old.Row == r.Row })
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b Result) int { return rowIndex(a.Row) - rowIndex(b.Row) })
	text, err = json.MarshalIndent(all, "", " ")
	if err == nil {
		err = os.WriteFile(resultsFile, append(text, '\n'), 0o644)
	}
	if err != nil {
		return err
	}
	return writePage(all)
}
