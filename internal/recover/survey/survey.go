package survey

import (
	"context"
	"errors"

	"archy-recovery/internal/recover"
)

// A Host is what a survey asks: podman, and the manager that runs the units.
type Host struct {
	Podman  recover.Podman
	Systemd recover.Systemd
}

// Look asks podman and systemd for a view of, at least, the containers in want;
// nil means all that are installed. It never fails as a whole: the view keeps
// the half that answered.
func (h Host) Look(ctx context.Context, want []recover.Container) recover.View {
	list := h.List(ctx) // side by side: podman may have to be started first
	view := h.NamedUnits(ctx, want)
	h.TakeList(ctx, &view, <-list, Names(want))
	return view
}

// A List is podman's answer.
type List struct {
	Sightings recover.Sightings
	Err       error
}

// List asks podman for its containers. The channel delivers the answer.
func (h Host) List(ctx context.Context) <-chan List {
	answer := make(chan List, 1)
	go func() {
		var l List
		l.Sightings, l.Err = h.Podman.List(ctx)
		answer <- l
	}()
	return answer
}

// NamedUnits begins a view with the units that, by their own words, run the
// containers in want. If these units do not cover all of them, it asks for all
// installed units: that keeps systemd busy for tenths of a second, in which it
// starts nothing.
func (h Host) NamedUnits(ctx context.Context, want []recover.Container) recover.View {
	named := Units(want)
	var view recover.View
	if len(named) > 0 {
		view.Units, view.SystemdErr = h.Systemd.ContainerUnits(ctx, named)
	}
	h.Include(ctx, &view, want)
	return view
}

// Include asks for all installed units if no unit of the view runs one of the
// containers in want; nil means all that are installed.
func (h Host) Include(ctx context.Context, view *recover.View, want []recover.Container) {
	if view.AllUnits || view.SystemdErr != nil || want != nil && view.Covers(want) {
		return
	}
	view.Units, view.SystemdErr = h.Systemd.ContainerUnits(ctx, nil)
	view.AllUnits = true
}

// CheckDead asks podman once more of each container that it lists as running and that is
// dead by the journal. podman lists a container whose lock is taken as it was
// before: one that is being cleaned up, for seconds on a busy host, as running. To be
// asked of that one, podman waits for its lock.
func (h Host) CheckDead(ctx context.Context, view *recover.View, dead map[string]bool) {
	view.Dead = dead
	var doubtful []string
	for name := range dead {
		if view.Active(name) {
			doubtful = append(doubtful, name)
		}
	}
	for _, a := range h.InspectEach(ctx, doubtful) {
		if a.Err == nil || errors.Is(a.Err, recover.ErrNoContainer) {
			view.TakeOne(a.Name, a.Sighting, a.Err)
		}
	}
}
