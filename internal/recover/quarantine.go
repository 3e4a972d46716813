package recover

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// InFlight names the containers that were being started, or had not lived
// their soak yet, at the last moment that was written down.
type InFlight struct {
	BootID string   `json:"bootId"`
	Names  []string `json:"containers"`
}

// A Suspect was in flight at each crash of the host that its case counts.
type Suspect struct {
	Name string `json:"name"`
	// Strikes counts those crashes.
	Strikes int `json:"strikes"`
	// BootID is the boot that ended with the last of them.
	BootID string `json:"bootId"`
	// Since is when that was noticed, for people.
	Since time.Time `json:"since"`
	// Quarantined: it is not started before it is released, or changes, or its parole.
	Quarantined bool `json:"quarantined"`
	// Case is the boot that ended with the first of them: the ID of the case. It is
	// empty in files of older versions, which kept no crashes.
	Case string `json:"case,omitempty"`
	// Noted: one crash without evidence is no reason to do anything.
	Noted bool `json:"noted,omitempty"`
	// Evidence: for one of the crashes there is a sign that it was no power loss.
	Evidence bool `json:"evidence,omitempty"`
	// Careful: it starts when the soak of the others is over. There may be a culprit among
	// them: a crash fitted no case.
	Careful bool `json:"careful,omitempty"`
	// Reversed: those of its case start in reverse order. The last crash named no fewer of
	// them than before: one that hangs is in flight with all that start after it.
	Reversed bool `json:"reversed,omitempty"`
	// Named: the kernel named it when memory ran out.
	Named bool `json:"named,omitempty"`
	// Lived counts the soaks that it has lived through since the last of the crashes.
	Lived int `json:"lived,omitempty"`
	// LivedIn is the boot in which the last of these soaks was.
	LivedIn string `json:"livedIn,omitempty"`
	// Doubts counts the crashes while it was quarantined and down, since the host last
	// lived for an hour.
	Doubts int `json:"doubts,omitempty"`
	// Paroles counts the times that it was tried in quarantine.
	Paroles int `json:"paroles,omitempty"`
	// NextTry is when it is tried next if the host lives so long, zero if it is not.
	NextTry time.Time `json:"nextTry,omitzero"`
	// Ends is when it is no suspect any more if the host lives so long, zero if only more
	// soaks clear it.
	Ends time.Time `json:"ends,omitzero"`
	// Listed: archy-recovery put its name on the user-stopped list, so that other
	// programs do not start it either.
	Listed bool `json:"listed,omitempty"`
	// Image is the image reference it was created from, as far as that is known:
	// podman forgets a container that a unit runs when it ends.
	Image string `json:"image,omitempty"`
	// Fingerprint tells what it was made of when it was quarantined: its image
	// and its unit. Empty where that is not known.
	Fingerprint string `json:"fingerprint,omitempty"`
}

// Why says why it is not started, and what to do.
func (s Suspect) Why() string {
	return fmt.Sprintf("the host crashed %d times while it was being started, and of no other container that is so; "+
		"to give it another chance: archy-recovery quarantine release %s", s.Strikes, s.Name)
}

// Quarantine is the suspects, by name.
type Quarantine []Suspect

// Find returns the suspect with a name.
func (q Quarantine) Find(name string) (Suspect, bool) {
	i := slices.IndexFunc(q, func(s Suspect) bool { return s.Name == name })
	if i < 0 {
		return Suspect{}, false
	}
	return q[i], true
}

// With is q with s, in place of the suspect of that name if there is one.
func (q Quarantine) With(s Suspect) Quarantine {
	q = append(q.Without(s.Name), s)
	slices.SortFunc(q, func(a, b Suspect) int { return strings.Compare(a.Name, b.Name) })
	return q
}

// Without is q without the suspect of that name.
func (q Quarantine) Without(name string) Quarantine {
	return q.Those(func(s Suspect) bool { return s.Name != name })
}

// Those are the suspects for which is reports true.
func (q Quarantine) Those(is func(Suspect) bool) Quarantine {
	return slices.DeleteFunc(slices.Clone(q), func(s Suspect) bool { return !is(s) })
}

// Watched are the suspects without those that were only noted.
func (q Quarantine) Watched() Quarantine { return q.Those(func(s Suspect) bool { return !s.Noted }) }

// Held are the suspects in quarantine.
func (q Quarantine) Held() Quarantine { return q.Those(func(s Suspect) bool { return s.Quarantined }) }
