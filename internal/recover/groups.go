package recover

import (
	"math"
	"slices"
)

const (
	// singles is how many suspects with evidence are started one by one; more are started
	// in groups.
	singles = 8
	// FewGroups is the number of groups without evidence: READY waits for three soaks.
	FewGroups = 4
)

// groupsOf is the number of groups in which the n suspects of a case are started. Each
// of several cases has two at least: with one, no crash would leave fewer suspects.
func groupsOf(n, cases int, evidence bool) int {
	switch {
	case !evidence:
		return min(n, max(2, FewGroups/cases))
	case n <= singles:
		return n
	}
	return int(math.Ceil(math.Sqrt(float64(n))))
}

// A turnOrder puts suspects, and what brings them along, in the order of their turns.
type turnOrder struct {
	rows  []Row               // in the order of their tiers
	pulls map[string][]string // by unit: the units that its start brings along
	turns [][]int             // rows that one start brings up
	seen  map[int]bool
}

// visit gives a row its turn, after all that its start brings along and that has one.
func (o *turnOrder) visit(i int, has func(int) bool) {
	if o.seen[i] {
		return
	}
	o.seen[i] = true
	for _, unit := range o.pulls[o.rows[i].Unit] {
		for j, other := range o.rows {
			if other.Unit == unit && other.Alone && unit != o.rows[i].Unit && has(j) {
				o.visit(j, has)
			}
		}
	}
	same := slices.IndexFunc(o.turns, func(turn []int) bool {
		unit := o.rows[turn[0]].Unit
		return unit != "" && unit == o.rows[i].Unit
	})
	if same >= 0 {
		o.turns[same] = append(o.turns[same], i)
		return
	}
	o.turns = append(o.turns, []int{i})
}

// setGroups gives the rows that are to start alone their turns: one by one, or in
// groups that start together. A group keeps the order of the tiers, and has suspects
// of one case only. rows are in the order of their turns.
func setGroups(rows []Row, pulls map[string][]string, suspects Quarantine, oneByOne bool) {
	o := turnOrder{rows: rows, pulls: pulls, seen: map[int]bool{}}
	isSuspect := func(i int) bool {
		_, known := suspects.Find(rows[i].Name)
		return (known || oneByOne) && rows[i].State == RowQueued
	}
	for i, row := range rows {
		if row.Alone && isSuspect(i) {
			o.visit(i, isSuspect)
		}
	}
	caseOf := func(turn []int) Suspect {
		for _, i := range turn {
			if s, known := suspects.Find(rows[i].Name); known {
				return s
			}
		}
		return Suspect{}
	}
	cases := map[string]bool{}
	for _, turn := range o.turns {
		cases[caseOf(turn).Case] = true
	}
	first := 1
	for begin := 0; begin < len(o.turns); {
		this := caseOf(o.turns[begin])
		end := begin
		for end < len(o.turns) && caseOf(o.turns[end]).Case == this.Case {
			end++
		}
		n := end - begin
		groups := n
		if !oneByOne {
			groups = groupsOf(n, len(cases), this.Evidence)
		}
		for place, turn := range o.turns[begin:end] {
			if this.Reversed {
				place = n - 1 - place
			}
			for _, i := range turn {
				rows[i].Group = first + place*groups/n
				rows[i].Careful = (this.Evidence || this.Careful) && !oneByOne
			}
		}
		first += groups
		begin = end
	}
	joinBringers(rows)
	if !oneByOne {
		followTiers(rows)
	}
}

// joinBringers has what brings suspects along start with the last of them.
func joinBringers(rows []Row) {
	for i := range rows {
		if rows[i].Alone && rows[i].Group == 0 {
			rows[i].Group = 1
			for _, other := range rows {
				if slices.Contains(rows[i].Brings, other.Name) {
					rows[i].Group = max(rows[i].Group, other.Group)
					rows[i].Careful = rows[i].Careful || other.Careful
				}
			}
		}
	}
}

// followTiers keeps the tiers in order: a container starts after the suspects of lower
// tiers, with the last group of them. Suspects that start after all others are no
// reason to wait.
func followTiers(rows []Row) {
	suspects := slices.DeleteFunc(slices.Clone(rows), func(r Row) bool {
		return !r.Alone || r.Careful || r.State != RowQueued
	})
	for i := range rows {
		row := &rows[i]
		if row.State != RowQueued || row.Alone {
			continue
		}
		for _, suspect := range suspects {
			if suspect.Tier < row.Tier {
				row.Group = max(row.Group, suspect.Group)
			}
		}
	}
}
