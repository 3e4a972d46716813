package power

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"archy-recovery/test/machine"
)

// grace is how long before the end of the power something must have been over
// for the set to be certain to know it. On a real machine that is a second; an
// emulated one is slower by an order of magnitude.
const grace = 8 * time.Second

// An expectation is what must be true of a container after the next recovery.
type expectation string

const (
	mustRun expectation = "must run"
	mustNot expectation = "must not run"
	either  expectation = "may run"
)

// A fleet is some containers, and what was done to them since they were last
// looked at.
type fleet struct {
	names   []string
	quadlet map[string]bool        // has a Quadlet unit; else podman alone knows it
	expect  map[string]expectation // as of the last look, or the last cut
	banned  map[string]bool        // on the user-stopped list
	acts    []*act
}

// An act is one thing done to a container. Its times are the test's.
type act struct {
	name        string
	start, ban  bool // ban: onto the user-stopped list before a stop, off it before a start
	how         string
	begun, done time.Time // done is zero for what was cut or failed
}

func (a *act) String() string {
	return fmt.Sprintf("%s %s", a.how, a.name)
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

// set makes the containers and runs them all.
func (f *fleet) set(n *node) {
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

// looked takes over what was seen to run after a recovery.
func (f *fleet) looked(running map[string]bool) {
	f.acts = nil
	for _, name := range f.names {
		f.expect[name] = mustNot
		if running[name] {
			f.expect[name] = mustRun
		}
	}
}

// pick draws the next act: what runs is stopped, what does not is started.
func (f *fleet) pick(rnd *rand.Rand) *act {
	a := &act{name: f.names[rnd.IntN(len(f.names))]}
	a.start = f.expect[a.name] != mustRun
	for _, earlier := range f.acts {
		if earlier.name == a.name {
			a.start = !earlier.start
		}
	}
	a.ban = a.start && f.banned[a.name] || !a.start && rnd.IntN(5) == 0
	verb := map[bool]string{true: "start", false: "stop"}[a.start]
	if f.quadlet[a.name] && (a.start || rnd.IntN(2) == 0) {
		a.how = "systemctl " + verb
	} else {
		a.how = "podman " + verb
	}
	return a
}

// do runs an act to its end, or until it is cut.
func (f *fleet) do(n *node, a *act) error {
	a.begun = time.Now()
	var steps []string
	switch {
	case a.ban && a.start:
		steps = append(steps, "archy-recovery --system user-stopped remove "+a.name)
	case a.ban:
		steps = append(steps, "archy-recovery --system user-stopped add "+a.name)
	}
	if a.ban && a.start {
		f.banned[a.name] = false // from here on it may be off the list, if not for certain
	}
	for _, step := range append(steps, a.how+" "+a.name) {
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

// cut says what must be true after the power failed at a moment, when set was
// the running set on the disk.
//
// What was done longer than grace before that counts. So does what the set on
// the disk shows, if there was no time for it to be the trace of an earlier act.
// Everything else is a race between the operator and the power failure.
func (f *fleet) cut(at time.Time, set []string) {
	for _, name := range f.names {
		var acts []*act
		for _, a := range f.acts {
			if a.name == name {
				acts = append(acts, a)
			}
		}
		if len(acts) == 0 {
			continue // as it was
		}
		last := acts[len(acts)-1]
		settled := func(a *act) bool { return !a.done.IsZero() && at.Sub(a.done) >= grace }
		alone := len(acts) == 1 || settled(acts[len(acts)-2])
		inSet := slices.Contains(set, name)
		switch {
		case f.banned[name]: // on the disk before the command said that it is
			f.expect[name] = mustNot
		case last.start && (settled(last) || inSet && alone && f.expect[name] == mustNot):
			f.expect[name] = mustRun
		case !last.start && (settled(last) || !inSet && alone && !last.done.IsZero()):
			f.expect[name] = mustNot
		default:
			f.expect[name] = either
		}
	}
}
