package recover

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Podman is what recovery asks of podman.
type Podman interface {
	// List returns every container podman knows, running or not.
	List(ctx context.Context) ([]Sighting, error)
	// Inspect returns the container name as podman has it now. It asks of that one
	// only, for at most 5 s: a start that hangs holds the lock of its container, and
	// List waits for all locks. ErrNoContainer: podman does not know the name.
	Inspect(ctx context.Context, name string) (Sighting, error)
	// GenerateUnit returns the name and text of a unit that starts the existing
	// container name (podman-generate-systemd(1), without --new).
	GenerateUnit(ctx context.Context, name string) (unit, text string, err error)
	// StoppedByUser reports whether podman was told to stop the container name
	// since its last start.
	StoppedByUser(ctx context.Context, name string) (bool, error)
	// Binds returns the paths on the host that the container name mounts: the sources of its
	// bind mounts, and the devices of its named volumes.
	Binds(ctx context.Context, name string) ([]string, error)
	// VolumeDevice returns the path on the host that a named volume mounts, "" if it has none:
	// the device that it was created with (podman-volume-create(1)).
	VolumeDevice(ctx context.Context, volume string) (string, error)
	// ConfigOf returns what the container name was made with. It is empty if podman does not
	// know the name.
	ConfigOf(ctx context.Context, name string) (ContainerConfig, error)
	// ImageID returns what the image reference means now. ErrNoImage: podman does not
	// have it.
	ImageID(ctx context.Context, image string) (string, error)
	// HasImage reports whether podman has an image. That costs it far less than ImageID.
	HasImage(ctx context.Context, image string) (bool, error)
	// GraphRoot returns the directory in which podman keeps its containers.
	GraphRoot(ctx context.Context) (string, error)
	// Health returns the health check of the container name. ErrNoContainer: podman does not
	// know the name.
	Health(ctx context.Context, name string) (Health, error)
	// TryHealth runs the command of a health check in the container name, and reports
	// whether it has passed. podman counts it neither as a check nor as a failure.
	TryHealth(ctx context.Context, name string, command []string) (passed bool, err error)
	// RunHealthCheck has podman run its own check of the container name, and so know how
	// that is. A failure counts there.
	RunHealthCheck(ctx context.Context, name string) error
}

// A ContainerConfig is what a container was made with. It is the same as long as the container
// exists, but for podman-update(1).
type ContainerConfig struct {
	// Needs are the containers that podman starts before it starts this one (podman-create(1):
	// --requires, --network container:, --pod and others like them).
	Needs []string
	// HealthCheck: it has a health check that podman runs.
	HealthCheck bool
}

// MountsNeeded is what a unit's container needs to be mounted.
type MountsNeeded struct {
	// Paths are on the host. ByManager are those that the manager mounts itself before it starts
	// the unit, if a mount is configured for them.
	Paths, ByManager []string
	// Volumes are named volumes.
	Volumes []string
}

// Systemd is what recovery asks of the service manager that runs the units.
type Systemd interface {
	// States returns the state of each unit, loading it if need be; one that
	// cannot be loaded has Loaded false.
	States(ctx context.Context, units []string) (map[string]UnitState, error)
	// KeepLoaded makes questions about the units cheaper until release is called. It
	// changes no answer.
	KeepLoaded(ctx context.Context, units []string) (release func())
	// ContainerUnits lists those of the named units that run a podman container,
	// or say that they do; with nil, those that run one, of all that are
	// installed, but for those that Install wrote.
	ContainerUnits(ctx context.Context, named []string) ([]ContainerUnit, error)
	// Install puts units (name to text) where the manager finds them until the
	// next boot, and has it read them.
	Install(ctx context.Context, units map[string]string) error
	// RemoveGenerated removes what Install wrote for containers that exist no more.
	// containers are those that do.
	RemoveGenerated(containers []string) error
	// Start starts a unit and waits for its job's end. What became of the job
	// is the Outcome; the error says why there is none: ErrGoingDown,
	// ErrOrderedAfterUs, ErrNoBus, or that of ctx.
	//
	// The units in without are not started along: the other units that it needs or
	// wants are started first, and then it alone.
	Start(ctx context.Context, unit string, without ...string) (Outcome, error)
	// StartJob starts a unit that runs to its end, and returns when its main process
	// runs or has ended. The rest is as for Start.
	StartJob(ctx context.Context, unit string, without ...string) (Outcome, error)
	// StartAgain is Start, but cancels no job of somebody else (job mode "fail"):
	// ErrConflict.
	StartAgain(ctx context.Context, unit string, without ...string) (Outcome, error)
	// AwaitLife returns what has become of the service unit when that differs from
	// last: at once if it does already. It is told by signals (PropertiesChanged of
	// Unit and Service). Errors: ErrNoBus, or that of ctx.
	AwaitLife(ctx context.Context, unit string, last Life) (Life, error)
	// AwaitScopeEnd returns when the scope of the container with that ID
	// (libpod-ID.scope) has ended, at once if there is none.
	AwaitScopeEnd(ctx context.Context, id string) error
	// ResetFailed takes a unit's failure, and its count of starts, from it.
	ResetFailed(ctx context.Context, unit string) error
	// Pulls says for each of the units which other units its start starts along, or
	// does not go without, directly or through others. What is active is not among
	// them, except with asIfDown: then no service counts as active.
	Pulls(ctx context.Context, units []string, asIfDown bool) (map[string][]Pull, error)
	// Order maps each of the units to the others among them that it is ordered after,
	// directly or through units that are down and that a start of it starts along.
	Order(ctx context.Context, units []string) (map[string][]string, error)
	// Definition is a digest of how a unit is defined: another one says that
	// the unit was changed.
	Definition(ctx context.Context, unit string) (string, error)
	// NotMounted lists the host's mount points that are configured by the
	// operator, and where nothing is mounted nor would be at the first access.
	NotMounted(ctx context.Context) ([]string, error)
	// MountsNeeded tells what a unit needs to be mounted.
	MountsNeeded(ctx context.Context, unit string) (MountsNeeded, error)
	// AwaitMounts returns when all of the mount points are mounted.
	AwaitMounts(ctx context.Context, points []string) error
	// AwaitMountAbove returns when something is mounted on one of the paths, or on a
	// directory above one, that was not when it was called.
	AwaitMountAbove(ctx context.Context, paths []string) error
	// AwaitEnd returns when a unit is not active any more, nor deactivating, or has
	// become active since a moment (on the clock of Journal.Now): that is a new run.
	AwaitEnd(ctx context.Context, unit string, since time.Duration) error
	Network
	// Watch begins to watch the containers' units, until ctx ends.
	Watch(ctx context.Context) (Watch, error)
}

// A Network is what recovery asks of the service manager about the host's network.
type Network interface {
	// NetworkState says whether the host's network is there.
	NetworkState(ctx context.Context) (NetworkState, error)
	// AwaitNetwork returns when the state is a better one than this.
	AwaitNetwork(ctx context.Context, than NetworkState) error
	// NetworkNeed says whether the start of a unit waits for the network, and whether the
	// operator wants that.
	NetworkNeed(ctx context.Context, unit string) (NetworkNeed, error)
	// StartOffline starts a unit, and first what it needs, without the order after the
	// network; of a job it returns as StartJob does. without and errors are those of Start.
	StartOffline(ctx context.Context, unit string, job bool, without ...string) (Outcome, error)
}

// A NetworkState is what is known of the host's network. A greater one is better.
type NetworkState int

const (
	// NetworkDown: the host has not reached network-online.target (systemd.special(7)).
	NetworkDown NetworkState = iota
	// NetworkUnsure: it has, but what it had to wait for gave up, and no network manager
	// says that it is online.
	NetworkUnsure
	// NetworkUp: the network is there.
	NetworkUp
)

// A NetworkNeed is how a unit's start depends on the network.
type NetworkNeed struct {
	// Ordered: the unit, or one that its start starts, is ordered after the network.
	Ordered bool
	// By is why the unit needs the network, in words for the operator. It is empty if only
	// a template of podman orders it: Quadlet and podman-generate-systemd(1) do so with
	// every unit.
	By string
}

// A Watch sees what one service manager does from here on.
type Watch interface {
	// Changes tells that containers may have started or stopped. Values do not
	// queue up. The channel closes when the watch is over: with its context,
	// or when the manager's bus is gone.
	Changes() <-chan struct{}
	// GoingDown reports whether the host, or this manager, is shutting down.
	// It asks the very manager that is watched: an answer also says that what
	// was seen until now did not come from a later one.
	GoingDown(ctx context.Context) (bool, error)
	// LeftTarget reports whether the host has left multi-user.target since the watch
	// began, as `systemctl isolate rescue` has it do: what stops then is stopped with it.
	LeftTarget(ctx context.Context) (bool, error)
}

// Errors of Systemd.Start that policy tells apart.
var (
	// ErrGoingDown: systemd refused, since the host is shutting down
	// (org.freedesktop.systemd1.TransactionIsDestructive).
	ErrGoingDown = errors.New("the host is shutting down")
	// ErrLeftTarget: the host changes to another target. It may come back in this boot.
	ErrLeftTarget = errors.New("the host has left multi-user.target")
	// ErrOrderedAfterUs: the unit's job waits for archy-recovery itself to be
	// ready, so waiting for it would be a deadlock. It starts after READY.
	ErrOrderedAfterUs = errors.New("the unit is ordered after archy-recovery and starts once that is ready")
	// ErrConflict: a job of somebody else conflicts with the start, such as a stop.
	ErrConflict = errors.New("another job conflicts with its start, such as a stop")
	// ErrRuns: something else has started the container. ErrReturning: systemd is about to.
	ErrRuns      = errors.New("something else has started it")
	ErrReturning = errors.New("systemd is about to start it by itself")
	// ErrUserStopped: the container came onto the user-stopped list meanwhile.
	ErrUserStopped = errors.New("on the user-stopped list")
	// ErrUnasked: podman or systemd could not be asked what starts the container.
	ErrUnasked = errors.New("what starts it could not be found out")
	// ErrNotHere: it may have existed, and does not.
	ErrNotHere = errors.New("on the clean-boot list, but podman does not know it and no unit runs it")
	// ErrMasked: the unit is masked, so that systemd never starts it.
	ErrMasked = errors.New("the unit is masked")
	// ErrNoImage: podman does not have the image.
	ErrNoImage = errors.New("podman does not have the image")
	// ErrNoContainer: podman does not know a container of that name.
	ErrNoContainer = errors.New("podman knows no container of that name")
	// ErrNoBus: the connection to the manager is gone or cannot be made.
	ErrNoBus = errors.New("no connection to the service manager")
)

// An OtherContainer is the ErrNoContainer of a name that podman takes for another
// container, whose ID begins with it (podman 5.4, libpod's LookupContainer).
type OtherContainer struct{ Name string }

func (e *OtherContainer) Error() string {
	return fmt.Sprintf("podman takes the name for the beginning of the ID of container %s", e.Name)
}

// Is reports whether target is ErrNoContainer.
func (e *OtherContainer) Is(target error) bool { return target == ErrNoContainer }

// A UnitState is what systemd says of a unit (org.freedesktop.systemd1(5)).
type UnitState struct {
	Loaded bool
	Active string // ActiveState: active, reloading, inactive, failed, activating, deactivating
	Sub    string // SubState: running, auto-restart, …
	Job    string // type of the job that is queued or runs for it: start, stop, restart, …
}

// A ContainerUnit is an installed unit that runs a container. Container is zero
// where the unit does not show which ones, but says that it labels them.
type ContainerUnit struct {
	Unit      string
	Container Container
	// Job says that the unit runs to its end: Type=oneshot without RemainAfterExit=,
	// or a unit that a timer triggers (systemd.service(5), systemd.timer(5)).
	Job bool
	// Needs names the containers without which podman does not start this one, as far
	// as the unit's command line says. StartsExisting: that starts a container that
	// exists, and podman knows what it needs (Podman.ConfigOf).
	Needs          []string
	StartsExisting bool
	// Discards: it makes the container for one run, and what that wrote outside of volumes
	// goes with it. False if the unit does not show that.
	Discards bool
}

// An Outcome is how a start job ended, and what the unit says after it.
type Outcome struct {
	// Unit is the unit that was started; Generated: podman generated it for
	// this recovery.
	Unit      string
	Generated bool
	// Job is the job's result: done, failed, timeout, dependency, canceled, …
	Job string
	UnitState
	// Result is the service's own Result: success, exit-code, signal, timeout, …
	Result string
	// ExitStatus is ExecMainStatus, where Result speaks of an exit or a signal.
	ExitStatus int
	// ConditionFailed says that systemd skipped the start for a Condition…=.
	ConditionFailed bool
	// Invocation is Unit.InvocationID after the attempt, in hexadecimal, as the
	// journal has it (systemd.exec(5)). Empty if it is not known.
	Invocation string
	// MainPID is Service.ExecMainPID of the attempt, 0 if it is not known.
	MainPID int
	// Offline says that the start ignored an order after the network, which was not there.
	Offline bool
	// Blockers are the units that it requires and that are not active, and
	// NotMounted where the mounts among them belong, after the job result
	// "dependency".
	Blockers   []string
	NotMounted []string
	// Stopped is Row.Stopped, if the start has found out that anew.
	Stopped []string
}

// Journal is what recovery asks of the journal. It may answer with an error
// and with what it could read all the same.
type Journal interface {
	// BootEnd returns how the boot with the ID boot ended.
	BootEnd(ctx context.Context, boot, thisBoot string) (BootEnd, error)
	// ServiceEnd returns what systemd said in a boot of the end of our unit's
	// processes.
	ServiceEnd(ctx context.Context, boot string) ([]Sign, error)
	// Events returns podman's events of our containers, and what the manager says of
	// itself, of the named units, and of those that containers were started by, in a
	// boot and later than since, oldest first. With an error it returns the newest ones.
	Events(ctx context.Context, boot string, since time.Duration, units []string) ([]HostEvent, error)
	// EventsOf is Events for some containers and their units only, from the last
	// start of each on.
	EventsOf(ctx context.Context, boot string, since time.Duration, containers []Container) ([]HostEvent, error)
	// Volatile reports whether the journal of this boot is kept in memory only.
	Volatile() bool
	// Now is the time by which entries carry Monotonic.
	Now() time.Duration
}

// Errors of Store.
var (
	ErrLost = errors.New("no readable generation is left")
	ErrNone = errors.New("there is none yet")
	ErrBusy = errors.New("the user-stopped list is in use by another program, try again")
)
