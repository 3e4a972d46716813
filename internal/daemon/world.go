package daemon

import (
	"context"
	"log/slog"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/survey"
)

// World is all that a Service works with.
type World struct {
	Store    Store
	Podman   recover.Podman
	Systemd  recover.Systemd
	Journal  recover.Journal
	Notifier Notifier
	Gauge    recover.Gauge
	Log      *slog.Logger
	// Output tells what was written for a start; it may be nil.
	Output Output
	// Ports tells what has a port; it may be nil.
	Ports Ports
	// Rootless says that the containers are a user's.
	Rootless bool
	// PodmanFirst: podman has to have answered before a unit that runs it is
	// started. A user's first podman commands after a boot, side by side, race for
	// what they share, and kill each other's containers (seen with 5.4.2).
	PodmanFirst bool
	// StorageUnits may be nil: then podman's storage is not synced.
	StorageUnits StorageUnits
	// NetworkUnit may be nil: then it is not looked whether networks have lost their rules.
	NetworkUnit NetworkUnit
	// Mender may be nil: then nothing is repaired.
	Mender Mender
	// Archives may be nil: then no image is kept.
	Archives Archives
	// Autostart may be nil: then nothing is noted of what else starts containers.
	Autostart Autostart

	storage *storage
}

// host is what a survey asks.
func (w World) host() survey.Host { return survey.Host{Podman: w.Podman, Systemd: w.Systemd} }

// Store is the data directory. Its methods may be called side by side, but each
// file has one writer, which holds its own lock meanwhile: marker the marker, keeper
// the snapshot and last-alive.json, hold its file, the engine's Flight in-flight.json, suspects quarantine.json and the
// user-stopped list, and history the report. The assessment also writes the
// snapshot and in-flight.json: it ends before the first start, and so before the
// other writers begin.
type Store interface {
	// Marker returns the marker that the last run left, nil without one. One
	// that cannot be read is Garbled, and so still says that a run was under way.
	Marker() *recover.Marker
	WriteMarker(recover.Marker) error
	RemoveMarker() error
	// Snapshot returns the last good snapshot. ErrLost: there was one and no
	// generation of it can be read. ErrNone: there never was one.
	Snapshot() (recover.Snapshot, error)
	SaveSnapshot(recover.Snapshot) error
	// LastAlive returns when a run was last alive. ErrNone: none has written that down.
	LastAlive() (recover.LastAlive, error)
	SaveLastAlive(recover.LastAlive) error
	// Hold returns the hold that was written last. ErrNone: there is none.
	Hold() (recover.Hold, error)
	SaveHold(recover.Hold) error
	// UserStopped returns the names that are never started automatically.
	// ErrLost: there is a list and no generation of it can be read.
	UserStopped() ([]string, error)
	// EditUserStopped replaces the list by what edit makes of it, and reports
	// whether that differs. Other programs change the list too: edit may be called
	// more than once. ErrBusy: another program does not release its lock.
	EditUserStopped(edit func(names []string) []string) (changed bool, err error)
	// InFlight returns what was in flight when the last run ended, no names if it
	// ended in order. ErrLost: that cannot be read.
	InFlight() (recover.InFlight, error)
	// SaveInFlight replaces it; without names nothing is in flight.
	SaveInFlight(recover.InFlight) error
	// Quarantine returns the casebook. ErrLost: there is one, and no generation of it
	// can be read.
	Quarantine() (recover.Casebook, error)
	SaveQuarantine(recover.Casebook) error
	// Reports returns the recoveries in the history, oldest first.
	Reports() ([]recover.Report, error)
	// SaveReport keeps a recovery, as a new one if its ID is 0, and returns its ID.
	SaveReport(recover.Report) (int, error)
}

// Notifier tells the service manager the state of the daemon (sd_notify(3)).
type Notifier interface {
	Ready(status string)
	Status(status string)
	// Extend asks for at least d more before start-up counts as timed out.
	Extend(d time.Duration)
	Stopping(status string)
}

// StorageUnits work in podman's storage, of which root is the graph root. The daemon itself
// may not look there. recover.ErrMasked: the operator does not want them.
type StorageUnits interface {
	// WatchImages has the storage synced soon after each image that comes from now on.
	WatchImages(ctx context.Context, root string) error
	// AwaitImages returns when done reports true. It calls it at once, and again each time that
	// images have come.
	AwaitImages(ctx context.Context, root string, done func() bool) error
	// Sync writes to disk what is in memory of the storage's file system.
	Sync(ctx context.Context, root string) error
	// Check looks for what a crash damaged in the storage. It only reads, and takes 2 s at most.
	Check(ctx context.Context, root string) (recover.StorageCheck, error)
}

// Autostart tells what else starts containers at boot.
type Autostart interface {
	// Enabled reports whether the unit file is enabled; one that does not exist
	// is not.
	Enabled(ctx context.Context, unit string) (bool, error)
	// StartedByTargets lists those of the units that a target starts, as an
	// [Install] section has it.
	StartedByTargets(ctx context.Context, units []string) ([]string, error)
	// RestartsAtBoot reports whether podman-restart.service, if it is enabled, starts the
	// container name at boot.
	RestartsAtBoot(ctx context.Context, name string) (bool, error)
}
