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

// A Suspect was in flight when the host crashed.
type Suspect struct {
	Name string `json:"name"`
	// Strikes counts the crashes that it was in flight at, since it last lived
	// through its soak.
	Strikes int `json:"strikes"`
	// BootID is the boot that ended with the last of them.
	BootID string `json:"bootId"`
	// Since is when that was noticed, for people.
	Since time.Time `json:"since"`
	// Quarantined: it is not started before it is released, or changes.
	Quarantined bool `json:"quarantined"`
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
	return fmt.Sprintf("the host crashed %d times while it was being started, the last time while nothing else was; "+
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
	return slices.DeleteFunc(slices.Clone(q), func(s Suspect) bool { return s.Name == name })
}

// QuarantineAt is the number of strikes that quarantines a container that was in
// flight alone.
const QuarantineAt = 2

// Strike gives each container that was in flight at a crash of the host a strike.
// A container that was in flight alone is quarantined from its second strike on.
// Each crash counts once, however often Strike is called for it.
func (q Quarantine) Strike(crash InFlight, now time.Time) Quarantine {
	for _, name := range crash.Names {
		s, _ := q.Find(name)
		if s.BootID == crash.BootID {
			continue
		}
		s.Name, s.BootID, s.Since = name, crash.BootID, now
		s.Strikes++
		s.Quarantined = s.Quarantined || s.Strikes >= QuarantineAt && len(crash.Names) == 1
		q = q.With(s)
	}
	return q
}
