package daemon

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"time"

	"archy-recovery/internal/recover"
)

const (
	// promptly is how many changes of a member are written at once. Then it is held
	// back: for holdFirst, each time four times as long, for holdMost at last.
	promptly  = 3
	holdFirst = 4 * time.Second
	holdMost  = 15 * time.Minute
	// stillAtLeast: a member that is held back is written earlier once it has not changed
	// for four times as long as between its last changes, but for this at least.
	stillAtLeast = 2 * time.Second
	// forgetPace is how long after its last write a member is like any other again.
	forgetPace = 2 * holdMost
)

// A pacer holds back the writes of members that come and go, each for itself. Members
// are known by what starts them: their unit, or without one their name. A container
// that flaps every second would otherwise wear out an SD card, and the journal has what
// a write would. It is used under the keeper's lock.
type pacer struct{ members map[string]*pace }

// A memberState is all that a write keeps of a member.
type memberState struct {
	member recover.Container
	down   bool
}

// A pace is what is known of the changes of a member.
type pace struct {
	seen, written []memberState // none while it is not in the set
	changes       []time.Time   // the last ones, oldest first
	writes        int           // that it was the reason for
	last, next    time.Time     // the last one of these, and when there may be another
}

// saw notes how a look saw the members. The first look tells what is on disk, too.
func (p *pacer) saw(now time.Time, set []recover.Container, down []string) {
	states := map[string][]memberState{}
	for _, c := range set {
		by := cmp.Or(c.Unit, c.Name)
		states[by] = append(states[by], memberState{c, slices.Contains(down, c.Name)})
	}
	for by := range p.members {
		if _, in := states[by]; !in {
			states[by] = nil
		}
	}
	if p.members == nil {
		p.members = map[string]*pace{}
	}
	for by, state := range states {
		m := p.members[by]
		if m == nil {
			m = &pace{}
			p.members[by] = m
		}
		if !reflect.DeepEqual(m.seen, state) {
			m.seen = state
			m.changes = append(m.changes[max(0, len(m.changes)-4):], now)
		}
	}
	maps.DeleteFunc(p.members, func(_ string, m *pace) bool {
		return len(m.seen) == 0 && !m.pending() && now.Sub(m.last) > forgetPace
	})
}

// pending reports whether the member is not on disk as it was seen last.
func (m *pace) pending() bool { return !reflect.DeepEqual(m.seen, m.written) }

// due is when a change of the member may be written.
func (m *pace) due(now time.Time) time.Time {
	if m.writes < promptly || now.Sub(m.last) > forgetPace {
		return now
	}
	still := stillAtLeast
	for i, at := range m.changes[1:] {
		still = max(still, 4*at.Sub(m.changes[i]))
	}
	settled := m.changes[len(m.changes)-1].Add(still)
	if settled.Before(m.next) {
		return settled
	}
	return m.next
}

// due reports whether a member has changed since the last write, and when that may be
// written.
func (p *pacer) due(now time.Time) (at time.Time, pending bool) {
	for _, m := range p.members {
		if !m.pending() {
			continue
		}
		if due := m.due(now); !pending || due.Before(at) {
			at = due
		}
		pending = true
	}
	return at, pending
}

// wrote notes that all members were written as they were seen. Those that were due were
// the reason.
func (p *pacer) wrote(now time.Time) {
	for _, m := range p.members {
		if m.pending() && !m.due(now).After(now) {
			if now.Sub(m.last) > forgetPace {
				m.writes = 0
			}
			m.writes++
			hold := holdFirst
			for range m.writes - promptly {
				hold = min(4*hold, holdMost)
			}
			m.last, m.next = now, now.Add(hold)
		}
		m.written = m.seen
	}
}
