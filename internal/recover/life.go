package recover

// A LifeState is what a started container does now.
type LifeState string

// The states of a started container.
const (
	LifeUnknown    LifeState = ""           // it could not be asked
	LifeRuns       LifeState = "runs"       // its main process runs
	LifeRestarting LifeState = "restarting" // it ended; systemd or podman starts it again
	LifeEnded      LifeState = "ended"      // it ended by itself
	LifeStopped    LifeState = "stopped"    // it was stopped: by somebody, or because of another unit
)

// A Life is what became of a container after its start.
type Life struct {
	State LifeState
	// Restarts counts the starts by systemd (Service.NRestarts) or podman
	// (RestartCount of its inspect) since ours.
	Restarts int
	// Because says why systemd stopped it though nobody asked for that: its pod was
	// stopped, or another unit that it is bound to. It is LifeEnded if that one had ended
	// by itself. Because is empty for any other end.
	Because string
	// ExitCode, Result and OOMKilled tell the last end. ExitCode is UnknownExit where
	// systemd has forgotten it. Result is Service.Result, empty for a container without
	// a unit.
	ExitCode  int
	Result    string
	OOMKilled bool
	// Invocation is Unit.InvocationID of the run that ended, in hexadecimal, as the journal
	// has it (systemd.exec(5)). It is set for LifeEnded, and for LifeRestarting until the
	// unit starts again: systemd does not keep the ID of the run before. It is empty for a
	// unit that ended with success and that systemd has unloaded.
	Invocation string
	// MainPID is Service.ExecMainPID of that run, 0 if it is not known.
	MainPID int
}
