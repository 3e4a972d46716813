package survey

import (
	"context"
	"sync"
	"time"

	"archy-recovery/internal/recover"
)

// An Answer is what podman said of one container.
type Answer struct {
	Name     string
	Sighting recover.Sighting
	Err      error
}

// askedAtOnce bounds how many containers podman is asked about side by side.
const askedAtOnce = 16

// InspectEach asks podman of each of the containers, one at a time and side by side.
// ErrNoContainer is an answer, too.
func (h Host) InspectEach(ctx context.Context, names []string) []Answer {
	answers := make([]Answer, len(names))
	sideBySide(len(names), func(i int) {
		s, err := h.Podman.Inspect(ctx, names[i])
		answers[i] = Answer{names[i], s, err}
	})
	return answers
}

// sideBySide asks n questions, some of them at a time.
func sideBySide(n int, ask func(i int)) {
	places := make(chan struct{}, askedAtOnce)
	var asking sync.WaitGroup
	for i := range n {
		asking.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			ask(i)
		})
	}
	asking.Wait()
}

// alongsideWithin bounds the questions that replace a late list: the list has waited for
// seconds already, and only a container that is stuck takes longer.
const alongsideWithin = 2 * time.Second

// TakeList adds podman's list to a view. A list that is late waits for a container that is
// stuck, so podman is asked of each of the named containers alone. Where podman
// answers nothing at all, it has yet to start, and its list is awaited.
func (h Host) TakeList(ctx context.Context, view *recover.View, list List, names []string) {
	for NotInTime(list.Err) && ctx.Err() == nil {
		if !h.answers(ctx) {
			list = <-h.List(ctx)
			continue
		}
		soon, cancel := context.WithTimeout(ctx, alongsideWithin)
		defer cancel()
		for _, a := range h.InspectEach(soon, names) {
			view.TakeOne(a.Name, a.Sighting, a.Err)
		}
		return
	}
	view.TakeList(list.Sightings, list.Err)
}

// answers reports whether podman answers at all. It is asked first, and alone: a podman
// that has just started must have the whole time for the questions about containers.
func (h Host) answers(ctx context.Context) bool {
	// There is no such container, so podman waits for no lock to say so.
	const none = "archy-recovery-asks-whether-podman-answers"
	ctx, cancel := context.WithTimeout(ctx, alongsideWithin)
	defer cancel()
	_, err := h.Podman.Inspect(ctx, none)
	return !NotInTime(err)
}

// AskOthers asks podman of each of the containers that the view does not know.
func (h Host) AskOthers(ctx context.Context, view *recover.View, containers []recover.Container) {
	var names []string
	for _, c := range containers {
		if _, known := view.Sighting(c.Name); !known && !view.Unanswered[c.Name] {
			names = append(names, c.Name)
		}
	}
	for _, a := range h.InspectEach(ctx, names) {
		view.TakeOne(a.Name, a.Sighting, a.Err)
	}
}

// Units are the units of those of the containers that have one.
func Units(containers []recover.Container) (units []string) {
	for _, c := range containers {
		if c.Unit != "" {
			units = append(units, c.Unit)
		}
	}
	return units
}

// Names are the names of the containers.
func Names(containers []recover.Container) []string {
	names := make([]string, len(containers))
	for i, c := range containers {
		names[i] = c.Name
	}
	return names
}
