package recover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// host is a make-believe host: podman, systemd and the data directory, with a
// history of all that was asked of it. Under synctest its time is the bubble's.
type host struct {
	t *testing.T

	mu        sync.Mutex
	history   []string
	sightings map[string]Sighting
	stale     []Sighting // what podman lists at first, if that is not what it knows
	podmanErr error
	units     map[string]ContainerUnit
	listings  int // how often all of them were asked for
	// podmanTakes is how long podman takes to list; podmanFirst as in World.
	podmanTakes time.Duration
	podmanFirst bool
	states      map[string]UnitState
	busErr      error
	down        bool
	watchErr    error // of the manager that was watched first
	// start says what each attempt of a unit does; ready at once without one.
	start map[string]func(ctx context.Context, attempt int) (Outcome, error)
	tries map[string]int
	// changes is what tells of containers that come and go.
	changes chan struct{}

	stoppedByUser map[string]bool
	bootEnd       BootEnd
	journalErr    error
	events        []HostEvent // after the snapshot
	inBoot        string      // of which they are; any without one

	marker         *Marker
	snapshot       *Snapshot
	snapshotErr    error
	userStopped    []string
	userStoppedErr error
	writeErr       error
	editErr        error // of the user-stopped list
	saveErr        error // of the suspects
	syncErr        error // of a snapshot that is read all the same
	inFlight       InFlight
	inFlightErr    error
	quarantine     Quarantine
	quarantineErr  error
	reports        []Report
	dead           bool   // the power is gone: nothing is written any more
	died           func() // what to do then

	pulls      map[string][]string
	definition map[string]string // of units
	notMounted []string
	mounted    chan struct{} // closed when all is mounted
	awaitErr   error
	ends       map[string]time.Duration // how long units take to end
	endAs      string                   // and how
	idle       bool                     // units run nothing
	binds      map[string][]string      // of containers
	needed     map[string][]string      // paths, of units
	images     map[string]string
	healthy    map[string]func(context.Context) error
	stalls     func() (Stalls, error)
}

func newHost(t *testing.T) *host {
	return &host{t: t,
		sightings: map[string]Sighting{},
		units:     map[string]ContainerUnit{},
		states:    map[string]UnitState{},
		start:     map[string]func(context.Context, int) (Outcome, error){},
		tries:     map[string]int{},
	}
}

func (h *host) say(format string, args ...any) {
	h.history = append(h.history, fmt.Sprintf(format, args...))
}

// quadlet adds a Quadlet container that the power cut took out of podman.
func (h *host) quadlet(name string) *host {
	unit := name + ".service"
	h.units[unit] = ContainerUnit{Unit: unit, Container: Container{Name: name}}
	h.states[unit] = UnitState{Loaded: true, Active: "inactive"}
	return h
}

// plain adds a container without a unit.
func (h *host) plain(name string, state ContainerState) *host {
	h.sightings[name] = Sighting{Container: Container{Name: name}, State: state}
	return h
}

func (h *host) ran(names ...string) *host {
	s := Snapshot{}
	for _, name := range names {
		s.Containers = append(s.Containers, Container{Name: name})
	}
	h.snapshot = &s
	return h
}

func (h *host) List(ctx context.Context) ([]Sighting, error) {
	sleep(ctx, h.podmanTakes)
	h.mu.Lock()
	defer h.mu.Unlock()
	list := slices.Collect(maps.Values(h.sightings))
	if h.stale != nil {
		list, h.stale = h.stale, nil
	}
	return list, h.podmanErr
}

func (h *host) GenerateUnit(_ context.Context, name string) (string, string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.say("generate %s", name)
	return "container-" + name + ".service", "text", h.podmanErr
}

func (h *host) StoppedByUser(_ context.Context, name string) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stoppedByUser[name], h.podmanErr
}

func (h *host) States(_ context.Context, units []string) (map[string]UnitState, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.states), h.busErr
}

func (h *host) ContainerUnits(_ context.Context, named []string) ([]ContainerUnit, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if named == nil {
		h.listings++
		return slices.Collect(maps.Values(h.units)), h.busErr
	}
	var found []ContainerUnit
	for _, unit := range named {
		if u, ok := h.units[unit]; ok {
			found = append(found, u)
		}
	}
	return found, h.busErr
}

func (h *host) Install(_ context.Context, units map[string]string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.say("install %s", strings.Join(slices.Sorted(maps.Keys(units)), " "))
	for unit := range units {
		h.states[unit] = UnitState{Loaded: true, Active: "inactive"}
	}
	return nil
}

func (h *host) Start(ctx context.Context, unit string) (Outcome, error) {
	h.mu.Lock()
	h.tries[unit]++
	attempt, behave := h.tries[unit], h.start[unit]
	h.say("start %s", unit)
	h.mu.Unlock()
	o, err := up, error(nil)
	if behave != nil {
		o, err = behave(ctx, attempt)
	}
	if o.Active == "active" && !h.idle {
		h.mu.Lock()
		h.states[unit] = o.UnitState
		name := strings.TrimSuffix(strings.TrimPrefix(unit, "container-"), ".service")
		running := Container{Name: name}
		if _, ok := h.units[unit]; ok { // Quadlet labels its containers
			running.Unit = unit
		}
		h.sightings[name] = Sighting{Container: running, State: "running"}
		h.mu.Unlock()
	}
	return o, err
}

func (h *host) ResetFailed(_ context.Context, unit string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.say("reset %s", unit)
	return h.busErr
}

func (h *host) Pulls(context.Context, []string) (map[string][]string, error) {
	return h.pulls, h.busErr
}

func (h *host) Definition(_ context.Context, unit string) (string, error) {
	return h.definition[unit], h.busErr
}

func (h *host) NotMounted(context.Context) ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.notMounted), h.busErr
}

func (h *host) MountsNeeded(_ context.Context, unit string) ([]string, error) {
	return h.needed[unit], h.busErr
}

func (h *host) AwaitMounts(ctx context.Context, points []string) error {
	h.mu.Lock()
	h.say("await %s", strings.Join(points, " "))
	err := h.awaitErr
	h.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-h.mounted:
		h.mu.Lock()
		defer h.mu.Unlock()
		h.notMounted = nil
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *host) AwaitEnd(ctx context.Context, unit string) error {
	h.mu.Lock()
	h.say("await the end of %s", unit)
	ends := h.ends[unit]
	h.mu.Unlock()
	if sleep(ctx, ends); ctx.Err() != nil {
		return ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states[unit] = UnitState{Loaded: true, Active: cmp.Or(h.endAs, "failed")}
	return nil
}

func (h *host) setAwaitErr(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.awaitErr = err
}

func (h *host) Binds(_ context.Context, name string) ([]string, error) {
	return h.binds[name], h.podmanErr
}

func (h *host) ImageID(_ context.Context, image string) (string, error) {
	return h.images[image], h.podmanErr
}

func (h *host) AwaitHealthy(ctx context.Context, name string) error {
	if wait := h.healthy[name]; wait != nil {
		return wait(ctx)
	}
	return nil
}

func (h *host) InFlight() (InFlight, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.inFlight, h.inFlightErr
}

func (h *host) SaveInFlight(f InFlight) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.say("in flight %s", strings.Join(f.Names, " "))
	if h.writeErr == nil && !h.dead {
		h.inFlight = f
	}
	return h.writeErr
}

func (h *host) Quarantine() (Quarantine, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.quarantine, h.quarantineErr
}

func (h *host) SaveQuarantine(q Quarantine) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.saveErr != nil {
		return h.saveErr
	}
	if h.writeErr == nil && !h.dead {
		h.quarantine = q
	}
	return h.writeErr
}

func (h *host) Reports() ([]Report, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.reports), nil
}

func (h *host) SaveReport(r Report) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.ID == 0 {
		r.ID = len(h.reports) + 1
		h.reports = append(h.reports, r)
	}
	h.reports[r.ID-1] = r
	return r.ID, h.writeErr
}

// Stalls is an idle host's, unless stalls says otherwise.
func (h *host) Stalls() (Stalls, error) {
	if h.stalls != nil {
		return h.stalls()
	}
	return Stalls{}, nil
}

func (h *host) Watch(ctx context.Context) (Watch, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.watchErr = ErrNoBus
	})
	h.changes = make(chan struct{}, 1)
	return h, h.busErr
}

func (h *host) Changes() <-chan struct{} { return h.changes }

func (h *host) GoingDown(context.Context) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down, h.watchErr
}

func (h *host) BootEnd(context.Context, string, string) (BootEnd, error) {
	return h.bootEnd, h.journalErr
}

func (h *host) ServiceEnd(context.Context, string) ([]Sign, error) {
	return h.bootEnd.Tail, h.journalErr
}

func (h *host) Events(_ context.Context, boot string, _ time.Duration) ([]HostEvent, error) {
	if h.inBoot != "" && boot != h.inBoot {
		return nil, h.journalErr
	}
	return h.events, h.journalErr
}

func (h *host) Now() time.Duration { return time.Hour }

func (h *host) Marker() *Marker { return h.marker }

func (h *host) WriteMarker(id Identity) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.say("mark")
	if h.writeErr == nil && !h.dead {
		h.marker = &Marker{Identity: id}
	}
	return h.writeErr
}

func (h *host) RemoveMarker() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.say("unmark")
	if !h.dead {
		h.marker = nil
	}
	return nil
}

func (h *host) Snapshot() (Snapshot, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.snapshotErr != nil {
		return Snapshot{}, h.snapshotErr
	}
	if h.snapshot == nil {
		return Snapshot{}, ErrNone
	}
	return *h.snapshot, nil
}

func (h *host) SaveSnapshot(s Snapshot) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.say("save %s", strings.Join(names(s.Containers), " "))
	if h.writeErr == nil && !h.dead {
		h.snapshot, h.snapshotErr = &s, nil
	}
	return errors.Join(h.writeErr, h.syncErr)
}

func (h *host) UserStopped() ([]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.userStopped), h.userStoppedErr
}

func (h *host) EditUserStopped(edit func([]string) []string) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.editErr != nil {
		return false, h.editErr
	}
	names := edit(slices.Clone(h.userStopped))
	if h.userStoppedErr != nil || slices.Equal(names, h.userStopped) {
		return false, h.userStoppedErr
	}
	if !h.dead {
		h.userStopped = names
	}
	return h.writeErr == nil, h.writeErr
}

func (h *host) Ready(status string)    { h.mu.Lock(); defer h.mu.Unlock(); h.say("READY %s", status) }
func (h *host) Status(string)          {}
func (h *host) Extend(time.Duration)   {}
func (h *host) Stopping(status string) { h.mu.Lock(); defer h.mu.Unlock(); h.say("STOPPING") }

func (h *host) service(p Policy) *Service {
	return NewService(World{h, h, h, h, h, h, slog.New(slog.NewTextHandler(io.Discard, nil)), h.podmanFirst, nil}, p, here)
}

var here = Identity{BootID: "b2", PID: 50, StartTime: 900}

// crashed is the marker of a run in an earlier boot.
var crashed = &Marker{Identity: Identity{BootID: "b1", PID: 40, StartTime: 800}}

var (
	up     = Outcome{Job: "done", UnitState: UnitState{Loaded: true, Active: "active", Sub: "running"}, Result: "success"}
	failed = Outcome{Job: "failed", UnitState: UnitState{Loaded: true, Active: "failed", Sub: "failed"}, Result: "exit-code", ExitStatus: 1}
)

// upAfter is up after d.
func upAfter(d time.Duration) func(context.Context, int) (Outcome, error) {
	return func(ctx context.Context, _ int) (Outcome, error) {
		select {
		case <-time.After(d):
			return up, nil
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		}
	}
}

func hangs(ctx context.Context, _ int) (Outcome, error) {
	<-ctx.Done()
	return Outcome{}, ctx.Err()
}

func fails(context.Context, int) (Outcome, error) { return failed, nil }

// worksAt works from the n-th attempt on.
func worksAt(n int) func(context.Context, int) (Outcome, error) {
	return func(_ context.Context, attempt int) (Outcome, error) {
		if attempt < n {
			return failed, nil
		}
		return up, nil
	}
}

func names(cs []Container) []string {
	var ns []string
	for _, c := range cs {
		ns = append(ns, c.Name)
	}
	slices.Sort(ns)
	return ns
}

var errBroken = errors.New("broken")
