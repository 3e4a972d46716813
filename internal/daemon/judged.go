package daemon

import (
	"slices"
	"sync"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
)

// judgments are what the engine found after READY of containers that ended within their
// soak. A look alone cannot tell a fall with exit code 0 from a stop: the set follows
// the report.
type judgments struct {
	// changed tells that there is a new one.
	changed chan struct{}

	mu     sync.Mutex
	byName map[string]judgment
}

// A judgment is what a container's end means for the set, until a look has taken it up.
type judgment struct {
	container recover.Container
	// stays: it should run. Otherwise somebody stopped it.
	stays bool
	at    time.Time
}

func newJudgments() *judgments {
	return &judgments{changed: make(chan struct{}, 1), byName: map[string]judgment{}}
}

// hear takes up an event of the engine. set is the last one. A job that has ended is no
// member, which a look sees as well.
func (j *judgments) hear(e engine.Event, set []recover.Container) {
	wasUp := e.Row.LastAttempt() != nil && e.Row.LastAttempt().Error == ""
	stays := e.Kind == engine.Fell || e.Kind == engine.Skipped && e.Row.State == recover.RowSkipped && wasUp
	stopped := e.Kind == engine.Skipped && e.Row.State == recover.RowUserStopped
	if !stays && !stopped || e.Row.Job {
		return
	}
	c := recover.Container{Name: e.Row.Name, Image: e.Row.Image, Unit: e.Row.Unit}
	if e.Row.Generated {
		c.Unit = ""
	}
	if i := slices.IndexFunc(set, func(m recover.Container) bool { return m.Name == c.Name }); i >= 0 {
		c = set[i]
	}
	j.mu.Lock()
	j.byName[c.Name] = judgment{container: c, stays: stays, at: time.Now()}
	j.mu.Unlock()
	select {
	case j.changed <- struct{}{}:
	default: // an earlier value was not taken yet
	}
}

// apply returns the members with those that stay marked as not recovered, and the names of
// those that were stopped. What runs by the list was started again.
func (j *judgments) apply(
	members []recover.Container, list recover.Sightings,
) (with []recover.Container, stopped []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.byName) == 0 {
		return members, nil
	}
	with = slices.Clone(members)
	for name, judged := range j.byName {
		i := slices.IndexFunc(with, func(c recover.Container) bool { return c.Name == name })
		switch {
		case list.Running(name):
		case !judged.stays:
			stopped = append(stopped, name)
		case i >= 0:
			with[i].Unrecovered = true
		default: // a look was faster
			judged.container.Unrecovered = true
			with = append(with, judged.container)
		}
	}
	return with, stopped
}

// stays reports whether a container fell and no look has taken that up yet.
func (j *judgments) stays(name string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.byName[name].stays
}

// settle forgets what a look has taken up that began at began, and whose set was saved.
func (j *judgments) settle(began time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for name, judged := range j.byName {
		if judged.at.Before(began) {
			delete(j.byName, name)
		}
	}
}
