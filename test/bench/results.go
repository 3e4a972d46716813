package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
)

// A Result is what one row came to. Results are kept in a file, so that a run
// of some rows leaves the others as they were measured.
type Result struct {
	Row    string   `json:"row"`
	Title  string   `json:"title"`
	Rounds int      `json:"rounds"`
	When   string   `json:"when"`
	Host   string   `json:"host"`
	Load   string   `json:"load"` // of the host, before and after
	With   string   `json:"with"` // versions
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
	Chart   bool      `json:"chart,omitempty"` // it is drawn
}

// add adds a series.
func (r *Result) add(name, unit string, figures []float64) {
	r.Series = append(r.Series, Series{Name: name, Unit: unit, Figures: figures})
}

// draw adds a series that the picture shows.
func (r *Result) draw(name, unit string, figures []float64) {
	r.Series = append(r.Series, Series{name, unit, figures, true})
}

// most claims that the median is at most so much.
func (r *Result) most(what, target, unit string, figures []float64, limit float64) {
	r.Claims = append(r.Claims, Claim{what, target, figures, unit, median(figures) <= limit})
}

// least claims that the median is at least so much.
func (r *Result) least(what, target, unit string, figures []float64, limit float64) {
	r.Claims = append(r.Claims, Claim{what, target, figures, unit, median(figures) >= limit})
}

func (r *Result) note(text string) { r.Notes = append(r.Notes, text) }

// median of an even number is the mean of the two in the middle.
func median(figures []float64) float64 {
	s := slices.Sorted(slices.Values(figures))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

// merge puts the result in place of the row's last one.
func merge(file string, r Result) ([]Result, error) {
	var all []Result
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(old Result) bool { return old.Row == r.Row })
	all = append(all, r)
	slices.SortStableFunc(all, func(a, b Result) int { return order(a.Row) - order(b.Row) })
	text, err = json.MarshalIndent(all, "", " ")
	if err != nil {
		return nil, err
	}
	return all, os.WriteFile(file, append(text, '\n'), 0o644)
}
