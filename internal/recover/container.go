package recover

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Container is a member of the running set: a container that should run.
//
// A new field needs its reading too: in package labels if a label gives it, else in
// package podman. If podman's event of a start does not give it, restarted keeps it.
type Container struct {
	// Name is podman's name of it. It stays the same when the container is re-created.
	Name string `json:"name"`
	// Image is the image reference that it was created from, for people to read.
	Image string `json:"image"`
	// Unit is the systemd unit that runs it, empty without one. It is a hint from the
	// past: systemd is asked again before it is believed (see Believe).
	Unit string `json:"unit,omitempty"`
	// Tier is the value of the label io.archy.tier, nil without one.
	Tier *int `json:"tier,omitempty"`
	// Unrecovered says that recovery could not bring it up, and that it has not run
	// since. It is down, but it was not stopped.
	Unrecovered bool `json:"unrecovered,omitempty"`
	// Job says that its unit runs to its end (ContainerUnit.Job). Once it has ended,
	// in whatever way, it is no member any more.
	Job bool `json:"job,omitempty"`
	// Health says whether it has a health check, and Wait is the value of the label
	// WaitLabel, empty without one.
	Health HealthCheck `json:"health,omitempty"`
	Wait   WaitFor     `json:"wait,omitempty"`
	// Compose is what labels say of its service, nil without such labels.
	Compose *Compose `json:"compose,omitempty"`
	// Missing is set while neither podman nor a unit knows it.
	Missing *Missing `json:"missing,omitempty"`
}

// Missing says for how long a member has been missing. A disk may be back later, and its
// containers with it. So a member leaves only after ForgottenAfter boots.
type Missing struct {
	// Boots is how many boots have missed it while podman's storage was there; LastBoot is
	// the last one that was counted.
	Boots    int    `json:"boots"`
	LastBoot string `json:"lastBoot"`
}

// ForgottenAfter is how many boots a member may be missing in.
const ForgottenAfter = 3

// in is the count in another boot. there: podman's storage is there, so that it counts.
func (m *Missing) in(boot string, there bool) *Missing {
	var next Missing
	if m != nil {
		next = *m
	}
	if there && next.LastBoot != boot {
		next.Boots, next.LastBoot = next.Boots+1, boot
	}
	return &next
}

// TierLabel is the container label that sets a start tier.
const TierLabel = "io.archy.tier"

// MaxTier is the highest tier that a label or the configuration may name.
const MaxTier = 99

var nameRule = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// CheckName returns an error if name breaks podman's rule for container names
// (libpod/define, NameRegex). Every name from outside passes here before it becomes
// part of a path, a URL or a unit name.
func CheckName(name string) error {
	const longest = 255 // bytes in a file name, and so in a unit name
	if len(name) > longest {
		return fmt.Errorf("container name %.40q… is longer than %d bytes", name, longest)
	}
	if !nameRule.MatchString(name) {
		return fmt.Errorf("%q is not a container name: podman allows letters, digits, '_', '.' and '-', "+
			"first a letter or digit", name)
	}
	return nil
}

// ParseTier reads a tier from the text of a label or of a configuration value.
func ParseTier(text string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 0 || n > MaxTier {
		return 0, fmt.Errorf("%q is not a tier: a whole number from 0 to %d", text, MaxTier)
	}
	return n, nil
}

// restarted returns c with what podman says of the container at its start. That
// replaces what was remembered, save for the image, the unit and the health check if podman
// names none, and whether it is a job, which podman does not know.
func (c Container) restarted(now Container) Container {
	now.Image = cmp.Or(now.Image, c.Image)
	now.Unit = cmp.Or(now.Unit, c.Unit)
	now.Job = now.Job || c.jobOf(now.Unit)
	now.Health = cmp.Or(now.Health, c.Health)
	return now
}

// jobOf reports whether c is a job of that unit.
func (c Container) jobOf(unit string) bool { return c.Job && (unit == "" || unit == c.Unit) }

// ContainerState is the state of a container as far as recovery needs it. It is
// empty for a container that has not run yet.
type ContainerState string

// The states of a container that has run.
const (
	StateRunning  ContainerState = "running"
	StatePaused   ContainerState = "paused"   // frozen; it has its processes
	StateStopping ContainerState = "stopping" // podman waits for its end
	StateStopped  ContainerState = "stopped"  // it ended, and podman has not cleaned up yet
	StateExited   ContainerState = "exited"   // it ended, and podman has cleaned up
	StateRemoving ContainerState = "removing"
)

// A Sighting is a container as podman lists it now.
type Sighting struct {
	Container
	// ID is podman's ID. A container that is re-created gets another one.
	ID    string
	State ContainerState
	// ExitCode has a meaning only for a container that has ended.
	ExitCode int
	// StoppedByUser says that podman was told to stop it. It is filled in only
	// where that decides something.
	StoppedByUser bool
	// Restarts is podman's RestartCount, and OOMKilled says that memory ran out at its
	// last end. Only Inspect fills them in.
	Restarts  int
	OOMKilled bool
	// Infra says that it is the infra container of a pod. It comes and goes with
	// the members of the pod and is never a member of the set.
	Infra bool
}

// Running reports whether the container runs. A paused one counts as running.
func (s Sighting) Running() bool { return s.State == StateRunning || s.State == StatePaused }

// Ending reports whether podman is about to stop or to remove the container.
func (s Sighting) Ending() bool { return s.State == StateStopping || s.State == StateRemoving }

// Ended reports whether the container ran and has ended.
func (s Sighting) Ended() bool { return s.State == StateStopped || s.State == StateExited }

// A Snapshot is the running set at a moment.
type Snapshot struct {
	// Timestamp is in Unix seconds, for people. It decides nothing.
	Timestamp  int64       `json:"timestamp"`
	Containers []Container `json:"containers"`
	// BootID and Monotonic say when podman was asked, by a clock that does not jump.
	// Later events of that boot are not in the set yet.
	BootID      string        `json:"bootId,omitempty"`
	SoftReboots uint64        `json:"softReboots,omitempty"`
	Monotonic   time.Duration `json:"monotonicNsec,omitempty"`
	// Doubts names the members whose unit is failed, and of which the journal could not
	// say yet whether they were stopped; with the moment from which on it is to be asked.
	Doubts map[string]time.Duration `json:"doubtsNsec,omitempty"`
	// GraphRoot is where podman keeps its containers, empty if that is not known. While it
	// is not mounted, podman must not be asked: it would begin an empty store there.
	GraphRoot string `json:"graphRoot,omitempty"`
}

// Of reports whether the snapshot was taken in the boot that id names.
func (s Snapshot) Of(id Identity) bool {
	return s.BootID == id.BootID && s.SoftReboots == id.SoftReboots
}

// Doubtful returns the members that are in doubt, and the moment of the oldest doubt.
func (s Snapshot) Doubtful() (members []Container, since time.Duration) {
	for _, c := range s.Containers {
		if at, doubtful := s.Doubts[c.Name]; doubtful {
			if len(members) == 0 || at < since {
				since = at
			}
			members = append(members, c)
		}
	}
	return members, since
}

// SameSet reports whether both snapshots hold the same containers with the same doubts,
// whatever their order and time.
func (s Snapshot) SameSet(other Snapshot) bool {
	return maps.Equal(s.Doubts, other.Doubts) &&
		slices.EqualFunc(s.Sorted(), other.Sorted(), func(a, b Container) bool { return reflect.DeepEqual(a, b) })
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

// Sorted returns the containers by name.
func (s Snapshot) Sorted() []Container {
	return slices.SortedFunc(slices.Values(s.Containers), func(a, b Container) int {
		return strings.Compare(a.Name, b.Name)
	})
}
