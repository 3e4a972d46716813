package recover

import (
	"cmp"
	"slices"
)

// Candidates are the containers that should run by the verdict. After an unclean
// end, or with CleanBoot=restore, that is the snapshot. After a clean end, or
// without a usable snapshot (nil), it is what is on the clean-boot list among the
// containers that exist (listed by podman or installed as a unit), or may exist (podman
// was asked and did not answer).
func Candidates(v Verdict, snapshot *Snapshot, view View, p Policy) []Container {
	if UsesSnapshot(v, snapshot, p) {
		return snapshot.Containers
	}
	existing := view.Existing()
	for name := range view.Unanswered { // it may exist
		if !HasName(existing, name) {
			existing = append(existing, Container{Name: name})
		}
	}
	return slices.DeleteFunc(Snapshot{Containers: existing}.Sorted(), func(c Container) bool {
		return !p.CleanBootList.Match(c.Name)
	})
}

// UsesSnapshot reports whether the candidates are the snapshot's containers.
func UsesSnapshot(v Verdict, snapshot *Snapshot, p Policy) bool {
	return snapshot != nil && (v.Unclean() || p.CleanBoot == CleanBootRestore)
}

// Holds is what keeps a plan from starting everything in tiers.
type Holds struct {
	// UserStopped are the names that are never started automatically.
	UserStopped []string
	// UserStoppedLost: there is such a list and it cannot be read.
	UserStoppedLost bool
	// Quarantine is the containers that were in flight when the host crashed.
	Quarantine Quarantine
	// Pulls lists, for a unit, the others that its start brings along.
	Pulls map[string][]string
	// Along says, for a container, which ones on the user-stopped list its start would
	// start along.
	Along map[string]Along
	// Needs says, for a container, what it waits for before its start. There are no cycles.
	Needs map[string][]Need
}

// MakePlan lays out what is done about each candidate, as rows in the order of
// their starts: by tier, and by name inside a tier; then, in groups, the suspects,
// and what would bring one of them along. resolved comes from Resolve.
func MakePlan(candidates []Container, holds Holds, view View, resolved map[string]Resolution, p Policy) []Row {
	rows := []Row{}
	seen := map[string]bool{}
	for _, c := range candidates {
		if seen[c.Name] {
			continue
		}
		seen[c.Name] = true
		c = view.Update(c)
		how := resolved[c.Name]
		row := Row{Name: c.Name, Image: c.Image, Unit: c.Unit, Tier: p.TierOf(c), Attempts: []Attempt{}, Job: c.Job}
		if how.Unit != "" {
			row.Unit, row.Generated, row.Job = how.Unit, how.Generated, how.Job && !how.Generated
		}
		if how.Err != nil {
			row.Unit = "" // looked for again when its turn comes
		}
		row.State, row.Error = firstState(row, holds, view, how, p)
		if holds.UserStoppedLost && row.State == RowFailed {
			row.Retry = &Retry{Ended: "the user-stopped list cannot be read"}
		}
		row.heed(holds.Along[row.Name])
		row.AwaitHealth, row.Needs = p.waitForHealth(c), holds.Needs[row.Name]
		row.Ending = row.State == RowQueued &&
			(how.State.Active == "active" || how.State.Active == "deactivating" && view.Ending(row.Name))
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Name, b.Name))
	})
	setApart(rows, holds, p)
	ignoreLastHealth(rows)
	heedNeeds(rows)
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Name, b.Name))
	})
	return rows
}

// firstState is where a container stands before anything is started, and why.
func firstState(row Row, holds Holds, view View, how Resolution, p Policy) (RowState, string) {
	suspect, _ := holds.Quarantine.Find(row.Name)
	switch {
	case view.Active(row.Name):
		return RowActive, "already running"
	case suspect.Quarantined:
		return RowQuarantined, suspect.Why()
	case slices.Contains(holds.UserStopped, row.Name):
		return RowUserStopped, "on the user-stopped list"
	case how.State.Job == "stop":
		return RowUserStopped, "someone is stopping it"
	case how.State.Active == "active" && !view.Ending(row.Name):
		return RowActive, "its unit is already active"
	case holds.UserStoppedLost:
		return RowFailed, "held back: the user-stopped list cannot be read"
	case p.Mode == ModeOff:
		return RowHeld, "held back: " + CommandLineKey + "=off on the kernel command line"
	case how.Err == nil && how.Unit == "":
		return RowMissing, "podman does not know it and no unit runs it"
	case row.Job && p.Jobs == JobsLeave:
		return RowSkipped, "it is a job, and Jobs=leave in the configuration leaves jobs alone"
	}
	return RowQueued, ""
}

// setApart marks the rows that are started after all others, and gives them their
// turns. It quarantines those that would bring a quarantined container along.
func setApart(rows []Row, holds Holds, p Policy) {
	named := map[string][]string{} // unit -> containers
	for _, r := range rows {
		if r.Unit != "" {
			named[r.Unit] = append(named[r.Unit], r.Name)
		}
	}
	for i := range rows {
		row := &rows[i]
		suspect, known := holds.Quarantine.Find(row.Name)
		known = known && !suspect.Noted
		row.Strikes = suspect.Strikes
		if row.State != RowQueued && row.State != RowNeedsStopped { // that one may start after READY
			continue
		}
		row.Alone = known || p.Mode == ModeSafe
		for _, unit := range append([]string{row.Unit}, holds.Pulls[row.Unit]...) {
			for _, name := range named[unit] {
				if name != row.Name {
					row.Brings = append(row.Brings, name)
				}
				brought, known := holds.Quarantine.Find(name)
				switch {
				case !known || name == row.Name || brought.Noted:
				case brought.Quarantined:
					row.State, row.Alone = RowQuarantined, false
					row.Error = "needs " + name + ", which is quarantined"
					if unit == row.Unit {
						row.Error = "is started by the same unit as " + name + ", which is quarantined"
					}
				case row.State != RowQuarantined:
					row.Alone = true
				}
			}
		}
	}
	if p.Mode == ModeSafe {
		setGroups(rows, holds.Pulls, holds.Quarantine, true)
		return
	}
	slices.SortStableFunc(rows, func(a, b Row) int { // those with most strikes last
		x, _ := holds.Quarantine.Find(a.Name)
		y, _ := holds.Quarantine.Find(b.Name)
		return cmp.Or(cmp.Compare(x.Strikes, y.Strikes), cmp.Compare(x.Case, y.Case))
	})
	setGroups(rows, holds.Pulls, holds.Quarantine, false)
}
