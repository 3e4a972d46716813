package recover

import (
	"cmp"
	"maps"
	"slices"
)

// A Start is one container in a plan, and the unit that starts it; the unit is
// empty where it could not be found out yet.
type Start struct {
	Container
	Tier      int
	Generated bool // by podman, for this recovery
}

// A Batch is what is started side by side: a tier.
type Batch struct {
	Tier   int
	Starts []Start
}

// A Skip is a candidate that the plan leaves alone, and why.
type Skip struct {
	Container
	Tier   int
	State  RowState
	Reason string
}

// A Plan is what recovery is going to start, in order, and what it is not.
type Plan struct {
	Batches []Batch
	Skips   []Skip
}

// Starts is the number of containers that the plan starts.
func (p Plan) Starts() int {
	n := 0
	for _, b := range p.Batches {
		n += len(b.Starts)
	}
	return n
}

// Candidates are the containers that the verdict says should run: after an
// unclean end the snapshot, after a clean one what is on the clean-boot list
// among the containers that exist (sighted by podman or installed as a unit),
// or, with CleanBoot=restore, the snapshot too. Without a usable snapshot
// (nil) the clean-boot list has to do.
func Candidates(v Verdict, snapshot *Snapshot, view View, p Policy) []Container {
	if snapshot != nil && (v.Unclean() || p.CleanBoot == CleanBootRestore) {
		return snapshot.Containers
	}
	return slices.DeleteFunc(view.Existing(), func(c Container) bool {
		return !p.CleanBootList.Match(c.Name)
	})
}

// MakePlan sorts the candidates into batches by tier, in name order inside a
// tier, and says of each one that is left out why. resolved comes from Resolve.
func MakePlan(candidates []Container, userStopped []string, view View, resolved map[string]Resolution, p Policy) Plan {
	var plan Plan
	tiers := map[int][]Start{}
	seen := map[string]bool{}
	for _, c := range candidates {
		if seen[c.Name] {
			continue
		}
		seen[c.Name] = true
		c = view.Update(c)
		tier := p.TierOf(c)
		skip := func(state RowState, reason string) {
			plan.Skips = append(plan.Skips, Skip{c, tier, state, reason})
		}
		how := resolved[c.Name]
		switch {
		case slices.Contains(userStopped, c.Name):
			skip(RowUserStopped, "on the user-stopped list")
		case view.Active(c.Name):
			skip(RowActive, "already running")
		case how.Err != nil: // its unit is looked for again when its turn comes
			tiers[tier] = append(tiers[tier], Start{Container{Name: c.Name, Image: c.Image, Tier: c.Tier}, tier, false})
		case how.Unit == "":
			skip(RowMissing, "podman does not know it and no unit runs it")
		case how.State.Active == "active":
			c.Unit = how.Unit
			skip(RowActive, "its unit is already active")
		default:
			c.Unit = how.Unit
			tiers[tier] = append(tiers[tier], Start{c, tier, how.Generated})
		}
	}
	for _, tier := range slices.Sorted(maps.Keys(tiers)) {
		starts := tiers[tier]
		slices.SortFunc(starts, func(a, b Start) int { return cmp.Compare(a.Name, b.Name) })
		plan.Batches = append(plan.Batches, Batch{tier, starts})
	}
	return plan
}
