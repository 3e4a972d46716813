// Package recovertest has the fakes that the tests of recovery share.
package recovertest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/diagnosis"
)

// A Host is a make-believe host: podman, systemd, the journal and the data
// directory, with a history of what was done on it. Tests set its fields, with Mu
// held while a daemon runs on it; the code under test gets its faces: Podman,
// Systemd, Journal, Store, Notifier and Gauge. Under synctest its time is the
// bubble's.
type Host struct {
	Mu        sync.Mutex
	History   []string
	Sightings map[string]recover.Sighting
	Stale     []recover.Sighting // what podman lists at first, if that is not what it knows
	PodmanErr error
	// OnList, if set, is called at each listing, without Mu; its error is podman's.
	OnList   func() error
	Units    map[string]recover.ContainerUnit
	Listings int // how often all of them were asked for
	// PodmanTakes is how long podman takes to list; PodmanFirst as in a daemon's World.
	PodmanTakes time.Duration
	PodmanFirst bool
	States      map[string]recover.UnitState
	BusErr      error
	Down        bool
	LeftTarget  bool
	WatchErr    error // of the manager that was watched first
	// Start says what each attempt of a unit does; ready at once without one.
	Start map[string]Behavior
	Tries map[string]int
	// Changes is what tells of containers that come and go.
	Changes chan struct{}

	StoppedByUser map[string]bool
	BootEnd       recover.BootEnd
	JournalErr    error
	Events        []recover.HostEvent  // after the snapshot
	InBoot        string               // of which they are; any without one
	JournalNow    func() time.Duration // an hour without it
	// VolatileJournal: the journal is kept in memory only.
	VolatileJournal bool
	// KeptGenerated is of which containers generated units were to be kept, by call.
	KeptGenerated [][]string
	// AskedSince is since when events were asked for.
	AskedSince []time.Duration
	// EventsSince, if set, answers for some containers.
	EventsSince func(since time.Duration) ([]recover.HostEvent, error)

	Marker         *recover.Marker
	Snapshot       *recover.Snapshot
	SnapshotErr    error
	UserStopped    []string
	UserStoppedErr error
	WriteErr       error
	EditErr        error // of the user-stopped list
	SaveErr        error // of the suspects
	SyncErr        error // of a snapshot that is read all the same
	LastAlive      *recover.LastAlive
	Beats          int // how often that was written
	Hold           *recover.Hold
	InFlight       recover.InFlight
	InFlightErr    error
	// Quarantine is the suspects of the casebook, and Book the rest of it.
	Quarantine    recover.Quarantine
	Book          recover.Casebook
	QuarantineErr error
	Reports       []recover.Report
	ReportsErr    error
	Dead          bool   // the power is gone: nothing is written any more
	Died          func() // what to do then

	// Pulls and Wants are, of a unit, all that it needs or only wants, directly or not;
	// Dependencies is what a container needs by podman, directly.
	Pulls, Wants, Dependencies map[string][]string
	// DependenciesAsked is how often podman was asked for those of a container.
	DependenciesAsked map[string]int
	// After is, of a unit, what it is ordered after.
	After      map[string][]string
	Definition map[string]string // of units
	// Offline, if set, is closed when the network comes. Until then it is not there.
	Offline chan struct{}
	// GaveUp, if set, is closed when the host gives up its wait for the network.
	GaveUp     chan struct{}
	NetworkErr error // of the wait for it
	// NetworkNeeds is how units need the network.
	NetworkNeeds map[string]recover.NetworkNeed
	NotMounted   []string
	Mounted      chan struct{} // closed when all is mounted
	ImagesCame   chan struct{} // told that images have come
	AwaitErr     error
	Ends         map[string]time.Duration // how long units take to end
	EndAs        string                   // and how
	Idle         bool                     // units run nothing
	Binds        map[string][]string      // of containers
	Needed       map[string][]string      // paths, of units
	// Volumes are named volumes, of units, and Devices what they mount.
	Volumes  map[string][]string
	Devices  map[string]string
	Images   map[string]string
	NoImages []string // that podman does not have
	// Checks are the commands of health checks, by container, and OwnChecks says which have
	// passed when podman ran them itself.
	Checks    map[string]func(context.Context) (bool, error)
	OwnChecks map[string]bool
	Lives     map[string]chan recover.Life // what AwaitLife tells, by unit
	NRestarts map[string]int               // how often systemd has started units again
	ScopeEnds map[string]chan struct{}     // closed when the scope has ended, by ID
	Stalls    func() (recover.Stalls, error)

	// Damages are those of podman's storage, and StorageErr is why they cannot be looked for. Hurried:
	// there is no time to look at all.
	Hurried    bool
	Damages    []recover.Damage
	StorageErr error
	// Networks is what a look at the rules of podman's networks finds, NetworksErr why there is none,
	// and NetworkLooks how often it was made.
	Networks     recover.NetworkCheck
	NetworksErr  error
	NetworkLooks int
	// External are the containers that only the storage knows. Looking, if set, is received from
	// twice by each look at the storage: when it begins, and before its answer.
	External []recover.StoredName
	// Reserved are the images that keep a name, by ID; Unnamed the IDs of images without a name.
	// MendErr is the begin of the change that cannot be made, as the history would tell it.
	Reserved map[string]recover.Reserved
	Unnamed  []string
	// Archives has the archives of images by their IDs, and ArchiveRoom is what the disk has for more,
	// in bytes. ImageSize is the size of each image.
	Archives    map[string]string
	ArchiveRoom int64
	ImageSize   int64
	// NoDigests: no registry has the images.
	NoDigests bool
	MendErr   string
	Looking   chan struct{}

	// Stuck holds the locks of containers: podman answers for one, and lists any, only
	// when its channel is closed.
	Stuck map[string]chan struct{}
	// Listing is how many lists are outstanding, and MostListing how many there were at
	// most at a time.
	Listing, MostListing int
	// Lists is how often podman was asked for a list, and GraphRoot where it keeps its containers.
	Lists     int
	GraphRoot string
	// Status is what STATUS= says, and Written what was written for attempts, by container.
	Status  string
	Written map[string][]diagnosis.Line
	// Asked is the attempts of each question for what was written.
	Asked [][]diagnosis.Attempt
}

// NewHost returns a host without containers, which never ran before.
func NewHost() *Host {
	return &Host{
		Sightings: map[string]recover.Sighting{},
		Units:     map[string]recover.ContainerUnit{},
		States:    map[string]recover.UnitState{},
		Start:     map[string]Behavior{},
		Tries:     map[string]int{},
	}
}

// Set makes changes with Mu held.
func (h *Host) Set(do func()) {
	h.Mu.Lock()
	defer h.Mu.Unlock()
	do()
}

// Say adds a line to the history. Called with Mu held.
func (h *Host) Say(format string, args ...any) {
	h.History = append(h.History, fmt.Sprintf(format, args...))
}

// Quadlet adds a Quadlet container that the power cut took out of podman.
func (h *Host) Quadlet(name string) *Host {
	unit := name + ".service"
	h.Units[unit] = recover.ContainerUnit{Unit: unit, Container: recover.Container{Name: name}, Discards: true}
	h.States[unit] = recover.UnitState{Loaded: true, Active: "inactive"}
	return h
}

// Plain adds a container without a unit.
func (h *Host) Plain(name string, state recover.ContainerState) *Host {
	h.Sightings[name] = recover.Sighting{Container: recover.Container{Name: name}, State: state}
	return h
}

// Ran makes the containers of these names the snapshot.
func (h *Host) Ran(names ...string) *Host {
	s := recover.Snapshot{}
	for _, name := range names {
		s.Containers = append(s.Containers, recover.Container{Name: name})
	}
	h.Snapshot = &s
	return h
}
