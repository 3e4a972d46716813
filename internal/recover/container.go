package recover

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Container is a member of the running set: a container that should run.
type Container struct {
	// Name is podman's name for it, the identity that survives a re-creation.
	Name string `json:"name"`
	// Image is the image reference it was created from, for people to read.
	Image string `json:"image"`
	// Unit is the systemd unit that was seen to run it, if any. It is a hint
	// from the past: systemd is asked again before it is believed.
	Unit string `json:"unit,omitempty"`
	// Tier is the value of the label io.archy.tier, nil without one.
	Tier *int `json:"tier,omitempty"`
	// Unrecovered: recovery could not bring it up, and it has not run since. It
	// is down, but was not stopped.
	Unrecovered bool `json:"unrecovered,omitempty"`
}

// TierLabel is the container label that sets a start tier.
const TierLabel = "io.archy.tier"

// MaxTier is the highest tier that a label or the configuration may name.
const MaxTier = 99

var nameRule = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// CheckName reports whether name follows podman's rule for container names
// (libpod/define, NameRegex). Everything that comes from outside passes here
// before it becomes a path, a URL or a unit name.
func CheckName(name string) error {
	const longest = 255 // what a file name, and so a unit name, can hold
	if len(name) > longest {
		return fmt.Errorf("container name %.40q… is longer than %d bytes", name, longest)
	}
	if !nameRule.MatchString(name) {
		return fmt.Errorf("%q is not a container name: podman allows letters, digits, '_', '.' and '-', "+
			"first a letter or digit", name)
	}
	return nil
}

// ParseTier reads a tier from a label or a configuration value.
func ParseTier(text string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 0 || n > MaxTier {
		return 0, fmt.Errorf("%q is not a tier: a whole number from 0 to %d", text, MaxTier)
	}
	return n, nil
}

// A Sighting is a container as podman lists it now.
type Sighting struct {
	Container
	// ID is podman's; a container that is created anew has another one.
	ID string
	// State is podman's word: created, configured, running, paused, exited, …
	State string
	// ExitCode is meaningful when State is exited.
	ExitCode int
	// StoppedByUser says that podman was told to stop it; filled in only where
	// that decides something.
	StoppedByUser bool
	// Infra says that this is a pod's infra container: it comes and goes with
	// the pod's members and is never a member of the set itself.
	Infra bool
}

// Running says whether the container holds its place as podman sees it. A
// paused container does: it was running when someone froze it.
func (s Sighting) Running() bool {
	return s.State == "running" || s.State == "paused"
}

// A Snapshot is the running set at a moment.
type Snapshot struct {
	// Timestamp is in Unix seconds, for people: nothing is decided by it.
	Timestamp  int64       `json:"timestamp"`
	Containers []Container `json:"containers"`
	// BootID and Monotonic say when podman was looked at, by a clock that does
	// not jump: events of that boot that are later are not in the set yet.
	BootID      string        `json:"bootId,omitempty"`
	SoftReboots uint64        `json:"softReboots,omitempty"`
	Monotonic   time.Duration `json:"monotonicNsec,omitempty"`
}

// Of reports whether the snapshot was taken in the boot that id names.
func (s Snapshot) Of(id Identity) bool {
	return s.BootID == id.BootID && s.SoftReboots == id.SoftReboots
}

// SameSet reports whether both snapshots hold the same containers, whatever
// their order and time.
func (s Snapshot) SameSet(other Snapshot) bool {
	return slices.EqualFunc(s.Sorted(), other.Sorted(), func(a, b Container) bool { return reflect.DeepEqual(a, b) })
}

// Changes are the names that only next has, and those that it has no more.
func (s Snapshot) Changes(next Snapshot) (joined, left []string) {
	for _, c := range next.Sorted() {
		if !HasName(s.Containers, c.Name) {
			joined = append(joined, c.Name)
		}
	}
	for _, c := range s.Sorted() {
		if !HasName(next.Containers, c.Name) {
			left = append(left, c.Name)
		}
	}
	return joined, left
}

// HasName reports whether one of the containers has that name.
func HasName(containers []Container, name string) bool {
	return slices.ContainsFunc(containers, func(c Container) bool { return c.Name == name })
}

func (s Snapshot) Sorted() []Container {
	return slices.SortedFunc(slices.Values(s.Containers), func(a, b Container) int {
		return strings.Compare(a.Name, b.Name)
	})
}
