package power

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"archy-recovery/test/machine"
)

// saveTime is the longest time from the end of an action until the snapshot on the
// disk shows it. On a real machine that is a second. An emulated machine is slower
// by an order of magnitude.
const saveTime = 8 * time.Second

// An expectation says what must be true of a container after the next recovery.
type expectation string

const (
	mustRun expectation = "must run"
	mustNot expectation = "must not run"
	either  expectation = "may run"
)

// A fleet is the test's containers, and the actions on them since the last cut.
type fleet struct {
	names   []string
	quadlet map[string]bool        // has a Quadlet unit; else only podman knows it
	expect  map[string]expectation // as of the last recovery or cut
	banned  map[string]bool        // on the user-stopped list
	actions []*action
}

// An action starts or stops one container. Its times are by the test's clock.
type action struct {
	name        string
	start, ban  bool // ban: adds to the user-stopped list before a stop, or removes before a start
	command     string
	begun, done time.Time // done is zero if the action was cut or failed
}

func (a *action) String() string {
	return fmt.Sprintf("%s %s", a.command, a.name)
}

func newFleet() *fleet {
	f := &fleet{quadlet: map[string]bool{}, expect: map[string]expectation{}, banned: map[string]bool{}}
	for i := range 3 {
		f.add(fmt.Sprintf("quadlet%d", i), true)
	}
	for i := range 2 {
		f.add(fmt.Sprintf("plain%d", i), false)
	}
	return f
}

func (f *fleet) add(name string, quadlet bool) {
	f.names = append(f.names, name)
	f.quadlet[name] = quadlet
	f.expect[name] = mustRun
}

// create makes all containers and starts them.
func (f *fleet) create(n *node) {
	n.t.Helper()
	for _, name := range f.names {
		if f.quadlet[name] {
			n.quadlet(name)
		}
	}
	n.MustRun("systemctl", "daemon-reload")
	for _, name := range f.names {
		if f.quadlet[name] {
			n.MustRun("systemctl", "start", name)
		} else {
			n.MustRun("podman", "run", "--detach", "--name", name, machine.Image)
		}
	}
}

// expectAsRunning expects the state after a recovery to last.
func (f *fleet) expectAsRunning(running map[string]bool) {
	f.actions = nil
	for _, name := range f.names {
		f.expect[name] = mustNot
		if running[name] {
			f.expect[name] = mustRun
		}
	}
}

// pick draws the next action: the stop of a running container, or the start of
// another one.
func (f *fleet) pick(rnd *rand.Rand) *action {
	a := &action{name: f.names[rnd.IntN(len(f.names))]}
	a.start = f.expect[a.name] != mustRun
	for _, earlier := range f.actions {
		if earlier.name == a.name {
			a.start = !earlier.start
		}
	}
	a.ban = a.start && f.banned[a.name] || !a.start && rnd.IntN(5) == 0
	verb := map[bool]string{true: "start", false: "stop"}[a.start]
	if f.quadlet[a.name] && (a.start || rnd.IntN(2) == 0) {
		a.command = "systemctl " + verb
	} else {
		a.command = "podman " + verb
	}
	return a
}

// do runs an action to its end, or until it is cut.
func (f *fleet) do(n *node, a *action) error {
	a.begun = time.Now()
	var steps []string
	switch {
	case a.ban && a.start:
		steps = append(steps, "archy-recovery --system user-stopped remove "+a.name)
	case a.ban:
		steps = append(steps, "archy-recovery --system user-stopped add "+a.name)
	}
	if a.ban && a.start {
		f.banned[a.name] = false // from here on it may be off the list
	}
	for _, step := range append(steps, a.command+" "+a.name) {
		if _, err := n.Run("sh", "-c", step); err != nil {
			return err
		}
		if a.ban && !a.start {
			f.banned[a.name] = true
		}
	}
	a.done = time.Now()
	return nil
}

// expectAfterCut computes the expectations after the power failed at a moment. set
// is the snapshot on the disk at that moment.
//
// An action counts if it ended at least saveTime before the cut. The snapshot on
// the disk counts if it cannot be the effect of an earlier action. Everything else
// is a race between the operator and the power failure.
func (f *fleet) expectAfterCut(at time.Time, set []string) {
	for _, name := range f.names {
		var actions []*action
		for _, a := range f.actions {
			if a.name == name {
				actions = append(actions, a)
			}
		}
		if len(actions) == 0 {
			continue // the expectation stays as it was
		}
		last := actions[len(actions)-1]
		saved := func(a *action) bool { return !a.done.IsZero() && at.Sub(a.done) >= saveTime }
		alone := len(actions) == 1 || saved(actions[len(actions)-2])
		inSet := slices.Contains(set, name)
		switch {
		case f.banned[name]: // the command returned after the list was on the disk
			f.expect[name] = mustNot
		case last.start && (saved(last) || inSet && alone && f.expect[name] == mustNot):
			f.expect[name] = mustRun
		case !last.start && (saved(last) || !inSet && alone && !last.done.IsZero()):
			f.expect[name] = mustNot
		default:
			f.expect[name] = either
		}
	}
}
