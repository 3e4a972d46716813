package recover

import (
	"fmt"
	"slices"
	"time"
)

// A Casebook is what archy-recovery makes of crashes of the host while containers
// were in flight. A case is the theory that one container takes the host down: then
// that one was in flight at each crash of the case, and what was not is no suspect. A
// crash that fits no case opens another: there may be two culprits. The second such
// crash refutes it all.
type Casebook struct {
	Suspects Quarantine `json:"suspects"`
	// Misfits counts the crashes that fitted no case.
	Misfits int `json:"misfits,omitempty"`
	// Crashes are those that the suspicion rests on, oldest first.
	Crashes []Crash `json:"crashes,omitempty"`
	// Unexplained counts the crashes that no container explains, since the host last
	// lived for an hour.
	Unexplained int `json:"unexplained,omitempty"`
	// Quiet counts the crashes at which no container was in flight, since the host last
	// lived for an hour.
	Quiet int `json:"quiet,omitempty"`
	// Judged is the boot that ended with the last crash that was judged.
	Judged string `json:"judged,omitempty"`
}

// A Crash is a crash of the host while containers were in flight.
type Crash struct {
	// BootID is the boot that it ended, and Case the ID of the case that counts it.
	BootID  string    `json:"bootId"`
	Case    string    `json:"case"`
	Noticed time.Time `json:"noticed"`
	Cause   Cause     `json:"cause"`
	// Named is the container that the kernel named when memory ran out.
	Named    string   `json:"named,omitempty"`
	InFlight []string `json:"inFlight"`
	// Started are those that something else had started shortly before. That makes none of them
	// a suspect: only the kernel can name one.
	Started []string `json:"started,omitempty"`
	// Along are those that the starts of others may have brought along.
	Along []string `json:"-"`
}

// Evidence reports whether there is a sign that the crash was no power loss.
func (c Crash) Evidence() bool {
	return c.Cause == CausePanic || c.Cause == CauseWatchdog || c.Cause == CauseOOM
}

const (
	// misfitsAllowed is the number of crashes that fit no case, at which there is none.
	misfitsAllowed = 2
	// suspectAt and quarantineAt are the weight of the crashes of a case at which its
	// containers are suspects, and the last one left is quarantined.
	suspectAt, quarantineAt = 2, 3
	// soaksToClear is how many soaks clear a suspect where there is evidence. A
	// culprit need not strike at each start.
	soaksToClear = 8
	// quietAllowed is the number of crashes with no container in flight, at which it is
	// said that no container explains them.
	quietAllowed = 3
)

// weight is how much a crash counts: a panic more than what may be power loss. After
// crashes that no container explains it counts no more than that.
func (b Casebook) weight(c Crash) int {
	if c.Evidence() && b.Unexplained == 0 {
		return 2
	}
	return 1
}

// weigh is the weight of a case. A file of an older version has strikes only.
func (b Casebook) weigh(id string, strikes int) (weight int) {
	for _, c := range b.Crashes {
		if c.Case == id {
			weight += b.weight(c)
		}
	}
	return max(weight, strikes)
}

// Strike judges a crash at which containers were in flight, once. unit is what starts each
// container, where that is known: what one unit starts cannot be told apart.
func (b Casebook) Strike(crash Crash, unit map[string]string) Casebook {
	known := func(s Suspect) bool { return s.BootID == crash.BootID }
	if crash.BootID == b.Judged || slices.ContainsFunc(b.Suspects, known) {
		return b
	}
	b.Judged = crash.BootID
	b.Suspects, b.Crashes = slices.Clone(b.Suspects), slices.Clone(b.Crashes)
	if crash.Named != "" {
		if !slices.Contains(slices.Concat(crash.InFlight, crash.Started), crash.Named) {
			return b // the kernel says which it was, and it was none of these
		}
		crash.InFlight, crash.Along = []string{crash.Named}, nil
		crash.Started = slices.DeleteFunc(slices.Clone(crash.Started), func(name string) bool { return name == crash.Named })
	}
	if again := b.Suspects.Held().Those(crash.includes); len(again) > 0 { // on parole
		return b.strikeAgain(crash, again)
	}
	fits := false
	for _, id := range b.openCases() {
		left := b.Suspects.Those(func(s Suspect) bool { return s.open() && s.Case == id && crash.includes(s) })
		if len(left) > 0 {
			fits = true
			b = b.narrow(id, left, crash, unit)
		}
	}
	if fits {
		return b
	}
	b.Suspects = b.Suspects.Those(func(s Suspect) bool { return !s.Noted || !s.open() })
	b = b.tidy()
	misfit := slices.ContainsFunc(b.Suspects, func(s Suspect) bool {
		// A power loss says nothing against a case with evidence.
		return s.Strikes > 0 && !s.Noted && (!s.Evidence || crash.Evidence())
	})
	if misfit {
		var refuted bool
		if b, refuted = b.misfit(crash); refuted {
			return b
		}
	}
	crash.InFlight = append(slices.Clone(crash.InFlight), crash.Along...)
	slices.Sort(crash.InFlight)
	crash.InFlight = slices.Compact(crash.InFlight)
	var all Quarantine
	for _, name := range crash.InFlight {
		all = all.With(Suspect{Name: name, Case: crash.BootID})
	}
	return b.narrow(crash.BootID, all, crash, unit)
}

// CrashedQuietly judges a crash at which no container was in flight, once. With evidence
// it speaks for what is in quarantine.
func (b Casebook) CrashedQuietly(crash Crash) Casebook {
	if crash.BootID == b.Judged {
		return b
	}
	b.Judged = crash.BootID
	if crash.Evidence() && len(b.Suspects.Held()) > 0 {
		b.Suspects = slices.Clone(b.Suspects)
		var refuted bool
		if b, refuted = b.misfit(crash); refuted {
			return b
		}
	}
	if b.Unexplained > 0 {
		b.Unexplained++
		return b
	}
	b.Quiet++
	return b
}

// misfit counts a crash that fits no case, and reports whether that refutes all.
func (b Casebook) misfit(crash Crash) (after Casebook, refuted bool) {
	for i := range b.Suspects {
		b.Suspects[i].Doubts++
	}
	if b.Misfits++; b.Misfits < misfitsAllowed {
		return b, false
	}
	return b.drop(crash), true
}

// open reports whether it is suspected, and not in quarantine.
func (s Suspect) open() bool { return !s.Quarantined && s.Strikes > 0 }

// openCases are the cases that still have suspects.
func (b Casebook) openCases() (ids []string) {
	for _, s := range b.Suspects {
		if s.open() && !slices.Contains(ids, s.Case) {
			ids = append(ids, s.Case)
		}
	}
	return ids
}

// includes reports whether a suspect was in flight at the crash.
func (c Crash) includes(s Suspect) bool { return slices.Contains(c.InFlight, s.Name) }

// strikeAgain counts a crash while one in quarantine was tried, alone, on a host that
// had lived: that is evidence.
func (b Casebook) strikeAgain(crash Crash, again Quarantine) Casebook {
	crash.Case = again[0].Case
	b.Crashes = append(b.Crashes, crash)
	for _, s := range again {
		s.Strikes++
		s.BootID, s.Since, s.Evidence, s.Doubts = crash.BootID, crash.Noticed, true, 0
		b.Suspects = b.Suspects.With(s)
	}
	return b
}

// narrow counts a crash for a case, and leaves those suspects of it that were in flight.
func (b Casebook) narrow(id string, left Quarantine, crash Crash, unit map[string]string) Casebook {
	crash.Case = id
	b.Crashes = append(b.Crashes, crash)
	open := len(b.Suspects)
	b.Suspects = b.Suspects.Those(func(s Suspect) bool { return !s.open() || s.Case != id })
	open -= len(b.Suspects)
	before := left.strikes()
	grouped := func(s Suspect) bool { return before > 0 && !s.Noted }
	stuck := len(left) == open && open > 1 && slices.ContainsFunc(left, grouped)
	weight := b.weigh(id, before+1)
	for _, s := range left {
		s.Strikes++
		s.BootID, s.Since, s.Lived, s.LivedIn = crash.BootID, crash.Noticed, 0, ""
		s.Evidence = s.Evidence || crash.Evidence() && b.Unexplained == 0
		s.Reversed = s.Reversed != stuck
		s.Careful = s.Careful || s.Evidence || b.Misfits > 0 || b.Unexplained > 0
		s.Named = s.Named || crash.Named == s.Name
		s.Noted = weight < suspectAt
		s.Quarantined = before > 0 && weight >= quarantineAt && left.startTogether(unit)
		b.Suspects = b.Suspects.With(s)
	}
	return b
}

// strikes is the most that one of them has.
func (q Quarantine) strikes() (most int) {
	for _, s := range q {
		most = max(most, s.Strikes)
	}
	return most
}

// startTogether reports whether no two of them can be started apart.
func (q Quarantine) startTogether(unit map[string]string) bool {
	return !slices.ContainsFunc(q, func(s Suspect) bool {
		return s.Name != q[0].Name && (unit[s.Name] == "" || unit[s.Name] != unit[q[0].Name])
	})
}

// drop gives up all theories: whatever is left out, the host crashes on.
func (b Casebook) drop(crash Crash) Casebook {
	boots := map[string]bool{crash.BootID: true}
	for _, c := range b.Crashes {
		boots[c.BootID] = true
	}
	b.Unexplained += len(boots) + b.Quiet
	b.Quiet = 0
	b.Suspects, b.Crashes, b.Misfits = Quarantine{}, nil, 0
	return b
}

// Soaked counts a soak that a suspect has lived through, once in each boot, and lets it
// out of quarantine. A few of them clear it: a culprit need not strike at each start.
func (b Casebook) Soaked(name, bootID string) Casebook {
	s, known := b.Suspects.Find(name)
	if !known {
		return b
	}
	if s.LivedIn != bootID {
		s.Lived, s.LivedIn = s.Lived+1, bootID
	}
	s.Careful = s.Careful || s.Quarantined // the next crash in its soak is to name it alone
	s.Quarantined, s.NextTry = false, time.Time{}
	if b.SoaksLeft(s) > 0 {
		b.Suspects = b.Suspects.With(s)
		return b
	}
	return b.Clear(name)
}

// SoaksLeft is how many more soaks a suspect is to live through until it is cleared. One
// is enough once no container explains the crashes, and for a case without crashes.
func (b Casebook) SoaksLeft(s Suspect) int {
	if s.Case == "" || b.Unexplained > 0 {
		return max(0, 1-s.Lived)
	}
	return max(0, soaksToClear-s.Lived)
}

// Clear takes a suspect off, and with the last one of a case its crashes.
func (b Casebook) Clear(name string) Casebook {
	b.Suspects = b.Suspects.Without(name)
	return b.tidy()
}

// tidy takes off the crashes of cases that have no suspects.
func (b Casebook) tidy() Casebook {
	b.Crashes = slices.DeleteFunc(slices.Clone(b.Crashes), func(c Crash) bool {
		return !slices.ContainsFunc(b.Suspects, func(s Suspect) bool { return s.Case == c.Case })
	})
	if len(b.Suspects) == 0 {
		b.Misfits = 0
	}
	return b
}

const (
	// HostLives is how long a host is to live so that earlier crashes say nothing of it.
	HostLives = time.Hour
	// SuspicionEnds is how long a host is to live so that crashes without evidence are
	// taken for what they most likely were: the power.
	SuspicionEnds = 24 * time.Hour
)

// HostLived forgets, when the host has lived for so long, what spoke for those in
// quarantine, and the crashes that no container explains; later, all suspicion that
// rests on no evidence.
func (b Casebook) HostLived(lived time.Duration) Casebook {
	if lived < HostLives {
		return b
	}
	b.Unexplained, b.Misfits, b.Quiet = 0, 0, 0
	b.Suspects = slices.Clone(b.Suspects)
	for i := range b.Suspects {
		b.Suspects[i].Doubts = 0
	}
	if lived < SuspicionEnds {
		return b
	}
	b.Suspects = b.Suspects.Those(func(s Suspect) bool { return !s.EndsWithLife() })
	return b.tidy()
}

// EndsWithLife reports whether it is no suspect any more once the host has lived for
// SuspicionEnds.
func (s Suspect) EndsWithLife() bool { return !s.Evidence && !s.Quarantined && !s.Listed }

// Same reports whether two books say the same.
func (b Casebook) Same(other Casebook) bool {
	return slices.Equal(b.Suspects, other.Suspects) && len(b.Crashes) == len(other.Crashes) &&
		b.Unexplained == other.Unexplained && b.Misfits == other.Misfits && b.Quiet == other.Quiet &&
		b.Judged == other.Judged
}

// Note says that no container explains the crashes, empty if there are none such.
func (b Casebook) Note() string {
	const look = "Look at the host itself: its power, memory, disks and drivers"
	switch {
	case b.Unexplained > 0:
		return fmt.Sprintf("%d crashes, no container explains them: other ones were in flight each time, or none. %s",
			b.Unexplained, look)
	case b.Quiet >= quietAllowed:
		return fmt.Sprintf("%d crashes, no container explains them: none was being started, and none was in its soak "+
			"(SoakSec=). %s", b.Quiet, look)
	}
	return ""
}
