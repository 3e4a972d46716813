package survey

import (
	"context"
	"fmt"
	"slices"

	"archy-recovery/internal/recover"
)

// Preview lays out what would be started if the machine died now. It asks podman
// and systemd and changes nothing there: a unit that would be generated is named,
// but neither generated nor installed.
func (h Host) Preview(ctx context.Context, k recover.Known, p recover.Policy) recover.Preview {
	h, _ = h.AskOnce()
	view := h.Look(ctx, k.Set)
	if view.PodmanErr != nil {
		k.Notes = append(k.Notes, fmt.Sprintf("podman does not answer: %v", view.PodmanErr))
	}
	if view.SystemdErr != nil {
		k.Notes = append(k.Notes, fmt.Sprintf("the units that run containers cannot be listed: %v", view.SystemdErr))
	}
	view = view.AfterPowerCut()
	holds := recover.Holds{UserStopped: k.UserStopped, UserStoppedLost: k.UserStoppedLost, Quarantine: k.Quarantine}
	resolved := Host{generatesNothing{h.Podman}, installsNothing{h.Systemd}}.Resolve(ctx, k.Set, view)
	for name, how := range resolved {
		how.State = recover.UnitState{Loaded: how.State.Loaded} // nothing is active after a power cut
		resolved[name] = how
	}
	byUser := slices.DeleteFunc(slices.Clone(k.UserStopped), func(name string) bool {
		suspect, _ := k.Quarantine.Find(name)
		return suspect.Listed
	})
	needs, cycles, err := h.Order(ctx, k.Set, resolved, view)
	if err != nil {
		k.Notes = append(k.Notes, fmt.Sprintf("%s: %v", OrderUnknown, err))
	}
	holds.Needs, k.Notes = needs, append(k.Notes, cycles...)
	starts := Starts{Resolved: resolved, View: view, Stopped: byUser, AsIfDown: true}
	if err := h.Tie(ctx, &holds, starts); err != nil {
		k.Notes = append(k.Notes, fmt.Sprintf("%s: %v", TiesUnknown, err))
	}
	if p.Mode != recover.ModeNormal {
		k.Notes = append(k.Notes, fmt.Sprintf("%s=%s is on the kernel command line", recover.CommandLineKey, p.Mode))
	}
	return k.Lay(recover.MakePlan(k.Set, holds, view, resolved, p), resolved, p)
}

// generatesNothing is podman, but only names the unit that it would generate.
type generatesNothing struct{ recover.Podman }

func (generatesNothing) GenerateUnit(_ context.Context, name string) (unit, text string, err error) {
	return generatedName(name), "", nil
}

// installsNothing is systemd, but installs no unit.
type installsNothing struct{ recover.Systemd }

func (installsNothing) Install(context.Context, map[string]string) error { return nil }
