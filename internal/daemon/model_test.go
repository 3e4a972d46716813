package daemon

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// Whatever happens on a host, in whatever order: a replay of it over an old
// snapshot makes the set that a daemon would have had which looked all the
// time. So nothing is lost or gained by the daemon's being dead.
//
// Not in the model is what a replay can only guess by the exit code, and
// correctByPodman corrects: a container without a unit that is stopped and ends
// badly, or is killed though no user wished it.
func TestReplayEqualsLooking(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newModel(t, rt)
		steps := rapid.IntRange(1, 30).Draw(rt, "steps")
		cut := rapid.IntRange(0, steps-1).Draw(rt, "snapshot after step")
		var snapshot []recover.Container
		var since int
		for i := range steps {
			if i == cut {
				snapshot, since = m.set.Containers, m.seen
			}
			m.step()
		}
		looked, replayed := m.set.Containers, recover.Replay(snapshot, m.story[since:])
		if !recover.HasName(snapshot, "ja") { // only systemd knows that it is a job, and is asked after the replay
			isJob := func(c recover.Container) bool { return c.Name == "ja" }
			looked, replayed = slices.DeleteFunc(looked, isJob), slices.DeleteFunc(replayed, isJob)
		}
		if diff := cmp.Diff(looked, replayed, cmpopts.EquateEmpty()); diff != "" {
			rt.Errorf("the set by looking (-) and by a replay (+):\n%s\nwhat happened:\n%s", diff, strings.Join(m.told, "\n"))
		}
	})
}

// A model is a host on which things happen to containers: what podman and
// systemd show, what the journal says, and a daemon that looks at each step.
type model struct {
	rt      *rapid.T
	host    *recovertest.Host
	daemon  *Service
	set     recover.Snapshot    // the daemon's
	story   []recover.HostEvent // the journal
	seen    int                 // how much of it the daemon has seen
	told    []string            // for people
	goingTo bool                // the host goes down: no daemon looks any more
}

func newModel(t *testing.T, rt *rapid.T) *model {
	h := recovertest.NewHost()
	for _, name := range []string{"qa", "qb", "ja"} {
		h.Quadlet(name)
	}
	job := h.Units["ja.service"]
	job.Job = true
	h.Units["ja.service"] = job
	return &model{rt: rt, host: h, daemon: newService(h, recover.DefaultPolicy()),
		set: recover.Snapshot{BootID: recovertest.Here.BootID}}
}

// say writes to the journal, see story.
func (m *model) say(lines string) {
	m.story = append(m.story, recovertest.Story(lines)...)
	m.told = append(m.told, lines)
}

// look lets the daemon look.
func (m *model) look() {
	if m.goingTo {
		return
	}
	m.host.Events = m.story[m.seen:]
	next, _, err := m.daemon.keeper.see(m.rt.Context(), m.set)
	if err != nil {
		m.rt.Fatal(err)
	}
	m.set, m.seen = next, len(m.story)
}

// step has one thing happen to one container.
func (m *model) step() {
	defer m.look()
	if !m.goingTo && rapid.IntRange(0, 40).Draw(m.rt, "shutdown") == 40 {
		m.say("shutdown")
		m.goingTo = true
	}
	name := rapid.SampledFrom([]string{"qa", "qb", "ja", "pa", "pb"}).Draw(m.rt, "container")
	if name[0] != 'p' {
		m.unit(name, name+".service")
	} else {
		m.plain(name)
	}
}

// unit has something happen to a container with a unit. Its container is gone
// with each end (podman run --rm).
func (m *model) unit(name, unit string) {
	active := func(state string) {
		m.host.States[unit] = recover.UnitState{Loaded: true, Active: state}
		delete(m.host.Sightings, name)
		if state == "active" {
			m.host.Sightings[name] = recover.Sighting{State: "running",
				Container: recover.Container{Name: name, Image: "image", Unit: unit, Tier: new(int)}}
			*m.host.Sightings[name].Tier = 1
		}
	}
	start := func() {
		m.say("start " + name + " " + unit)
		active("active")
	}
	died := func(code int) { m.say(fmt.Sprintf("died %s %d\n remove %s", name, code, name)) }
	down := func(how string, code int) { died(code); m.say(how) }
	stop := func(how string, code int) { m.say("stopping " + unit); down(how+"\n stopped "+unit, code) }
	does := map[string]map[string]func(){
		"active": {
			"systemctl stop":                   func() { stop("ended "+unit, 0); active("inactive") },
			"systemctl stop, which ends badly": func() { stop("failed "+unit, 137); active("failed") },
			"podman stop, or it ends well":     func() { down("ended "+unit, 0); active("inactive") },
			"it fails":                         func() { down("failed "+unit, 1); active("failed") },
			"it is killed":                     func() { down("failed "+unit, 137); active("failed") },
			"it is killed, and cleaned up":     func() { died(137); active("deactivating") },
			"it dies, and is cleaned up":       func() { died(143); active("deactivating") },
			"it fails, and waits for restart":  func() { down("failed "+unit, 1); active("activating") },
			"systemctl restart":                func() { stop("ended "+unit, 0); start() },
			"systemctl restart, which lasts": func() {
				m.say("stopping " + unit)
				down("ended "+unit+"\n restopped "+unit, 0)
				active("activating")
			},
			"it fails, and restarts as of old": func() { down("failed "+unit+"\n restopped "+unit, 1); active("activating") },
		},
		"deactivating": {
			"the unit says so": func() { m.say("failed " + unit); active("failed") },
		},
		"inactive": {"systemctl start": start},
		"failed":   {"systemctl start": start},
		"activating": {
			"it is restarted":                        start,
			"systemctl stop, before it is restarted": func() { m.say("stopped " + unit); active("inactive") },
		},
	}[m.host.States[unit].Active]
	if name == "ja" { // a replay forgets a job when it dies, and a look when its unit has ended for good
		for _, ends := range []string{
			"it is killed, and cleaned up", "it dies, and is cleaned up", "it fails, and waits for restart",
		} {
			delete(does, ends)
		}
	}
	m.draw(does)
}

// plain has something happen to a container without a unit.
func (m *model) plain(name string) {
	shows := func(state recover.ContainerState, code int, stopped bool) {
		m.host.Sightings[name] = recover.Sighting{Container: recover.Container{Name: name, Image: "image"}, State: state,
			ExitCode: code}
		if m.host.StoppedByUser == nil {
			m.host.StoppedByUser = map[string]bool{}
		}
		m.host.StoppedByUser[name] = stopped
	}
	start := func() { m.say("start " + name); shows("running", 0, false) }
	stop := func(code int) { m.say(fmt.Sprintf("died %s %d", name, code)); shows("exited", code, true) }
	does := map[recover.ContainerState]map[string]func(){
		"running": {
			"podman stop":                     func() { stop(0) },
			"podman stop of one that dies":    func() { stop(143) },
			"podman stop of one that is deaf": func() { stop(137) },
			"it fails":                        func() { m.say("died " + name + " 1"); shows("exited", 1, false) },
			"it ends well":                    func() { m.say("died " + name + " 0"); shows("exited", 0, false) },
			"podman restart":                  func() { stop(0); start() },
			"podman rm -f":                    func() { stop(137); m.say("remove " + name); delete(m.host.Sightings, name) },
		},
		"exited": {
			"podman start": start,
			"podman rm":    func() { m.say("remove " + name); delete(m.host.Sightings, name) },
		},
		"": {"podman run": start},
	}[m.host.Sightings[name].State]
	m.draw(does)
}

// draw does one of the things, if the host has time for it: one that goes down
// starts nothing.
func (m *model) draw(does map[string]func()) {
	names := []string{}
	for name := range does {
		if !m.goingTo || !strings.Contains(name, "start") && name != "podman run" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	name := rapid.SampledFrom(names).Draw(m.rt, "what")
	m.told = append(m.told, "# "+name)
	does[name]()
}
