package units

import (
	"context"

	"archy-recovery/internal/recover"
)

// markJobs decides Job of the units that run to their end: those of Type=oneshot without RemainAfterExit=,
// and those that a loaded timer triggers (Service.Type, Service.RemainAfterExit, Unit.Triggers). Job is set
// already where the unit's command ends with the container: only those are asked for their type, since each
// question costs PID 1. A unit that Install wrote into the runtime directory is never a job.
func markJobs(ctx context.Context, l *link, runtimeDir string, found []recover.ContainerUnit) error {
	if len(found) == 0 {
		return nil
	}
	triggered, err := l.triggeredByTimers(ctx)
	if err != nil {
		return err
	}
	var asked []property
	for _, u := range found {
		if u.Job {
			at := pathOf(u.Unit)
			asked = append(asked, property{at, serviceIfc, "Type"}, property{at, serviceIfc, "RemainAfterExit"})
		}
	}
	answers := l.getAll(ctx, asked)
	for _, a := range answers {
		if err := lost(ctx, l, a.err); err != nil {
			return err
		}
	}
	for i := range found {
		oneshot := false
		if found[i].Job {
			kind, _ := answers[0].value.Value().(string)
			remains, _ := answers[1].value.Value().(bool)
			oneshot, answers = kind == "oneshot" && !remains, answers[2:]
		}
		_, own := ownFile(runtimeDir, found[i].Unit)
		found[i].Job = (oneshot || triggered[found[i].Unit]) && !own
	}
	return nil
}

// triggeredByTimers names the units that the loaded timers trigger (Unit.Triggers). There are few timers, and
// many units.
func (l *link) triggeredByTimers(ctx context.Context) (map[string]bool, error) {
	timers, err := l.listByPattern(ctx, "*.timer")
	if err != nil {
		return nil, err
	}
	var asked []property
	for _, timer := range timers {
		asked = append(asked, property{timer.Path, unitIfc, "Triggers"})
	}
	triggered := map[string]bool{}
	for _, a := range l.getAll(ctx, asked) {
		if err := lost(ctx, l, a.err); err != nil {
			return nil, err
		}
		units, _ := a.value.Value().([]string) // without an answer systemd has unloaded the timer
		for _, unit := range units {
			triggered[unit] = true
		}
	}
	return triggered, nil
}
