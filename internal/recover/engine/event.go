package engine

import "archy-recovery/internal/recover"

// EventKind is what happened.
type EventKind string

// The events of a run, in the order in which they can come for a container.
const (
	TierStarted   EventKind = "tier-started"
	Starting      EventKind = "starting"
	Up            EventKind = "up"
	AttemptFailed EventKind = "attempt-failed" // a retry follows
	Waiting       EventKind = "waiting"        // for a mount, or for a container that it needs
	NoNetwork     EventKind = "no-network"     // READY does not wait for it any longer
	GaveUp        EventKind = "gave-up"
	Skipped       EventKind = "skipped"
	Deferred      EventKind = "deferred"
	Fell          EventKind = "fell"          // it was up and ended within its soak; a job: it failed
	Restarting    EventKind = "restarting"    // systemd or podman starts it again
	Ended         EventKind = "ended"         // a job has ended well
	Unhealthy     EventKind = "unhealthy"     // it is up, and its health check has yet to pass
	Healthy       EventKind = "healthy"       // its health check has passed
	FoundUp       EventKind = "found-up"      // something else has started it
	RetryPlanned  EventKind = "retry-planned" // after READY; it says when
	RetryEnded    EventKind = "retry-ended"   // it is not tried again any more
	Explained     EventKind = "explained"     // an attempt got its Why; may come after later events
	TierSettled   EventKind = "tier-settled"
	TierLate      EventKind = "tier-late" // its deadline passed; the next one need not wait
)

// An Event is one step of a run.
type Event struct {
	Kind EventKind
	Tier int
	// Index is the container's place among the rows, for a container's event.
	Index int
	// Row is the container's row after the step, zero for a tier's event.
	Row recover.Row
}
