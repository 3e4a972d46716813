package survey

import (
	"context"
	"slices"

	"archy-recovery/internal/recover"
)

// A Claim is that a unit runs a container.
type Claim struct{ Unit, Container string }

// Believe tells which claims hold. Claims come from labels, and an image brings
// labels along: one that names systemd-poweroff.service must not have that unit
// started. So a claim holds only if the unit's ExecStart= runs that container,
// or, for a unit that shows no container (a .kube unit, a script), if its
// environment says that it labels what it runs. known are units that were read
// before.
func (h Host) Believe(ctx context.Context, claims []Claim, known []recover.ContainerUnit) (map[Claim]bool, error) {
	believed, _, err := h.believe(ctx, claims, known)
	return believed, err
}

// Jobs is Believe, and names those of the units that run to their end, and those that
// show no container: their containers may have another name at each start.
func (h Host) Jobs(
	ctx context.Context, claims []Claim,
) (believed map[Claim]bool, jobs, unnamed map[string]bool, err error) {
	believed, units, err := h.believe(ctx, claims, nil)
	unnamed = map[string]bool{}
	for _, u := range units {
		if u.Container.Name == "" {
			unnamed[u.Unit] = true
		}
	}
	return believed, jobUnits(units), unnamed, err
}

// believe returns also all units that are known now.
func (h Host) believe(
	ctx context.Context, claims []Claim, known []recover.ContainerUnit,
) (map[Claim]bool, []recover.ContainerUnit, error) {
	read := map[string]bool{}
	for _, u := range known {
		read[u.Unit] = true
	}
	var named []string
	for _, c := range claims {
		if c.Unit != "" && !read[c.Unit] {
			read[c.Unit] = true
			named = append(named, c.Unit)
		}
	}
	var err error
	if len(named) > 0 {
		var more []recover.ContainerUnit
		more, err = h.Systemd.ContainerUnits(ctx, named)
		known = slices.Concat(known, more)
	}
	runs := map[Claim]bool{}
	for _, u := range known {
		runs[Claim{u.Unit, u.Container.Name}] = true
	}
	believed := map[Claim]bool{}
	for _, c := range claims {
		believed[c] = runs[c] || runs[Claim{c.Unit, ""}]
	}
	return believed, known, err
}

// jobUnits names the units that run to their end.
func jobUnits(units []recover.ContainerUnit) map[string]bool {
	jobs := map[string]bool{}
	for _, u := range units {
		if u.Job {
			jobs[u.Unit] = true
		}
	}
	return jobs
}
