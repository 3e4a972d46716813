package recover

// A HostEvent is something that happened on the host while the daemon did not
// look. Replay brings a set up to date with it. Package journal makes HostEvents of
// the entries of podman, systemd and logind.
type HostEvent interface{ hostEvent() }

// The events of containers, as podman tells them (podman-events(1)).
type (
	// ContainerStarted says that a container was started. Its labels give the unit
	// and the tier.
	ContainerStarted struct {
		Container
		// Infra says that the container looks like the infra container of a pod.
		Infra bool
	}
	// ContainerDied says that a container ended.
	ContainerDied struct {
		Name string
		// ExitCode is UnknownExit where podman does not tell it.
		ExitCode int
	}
	// ContainerStopped says that podman was told to stop a container, and that it has
	// ended. podman does not always say so: not if its own cleanup was faster.
	ContainerStopped struct{ Name string }
	// ContainerRemoved says that a container does not exist any more.
	ContainerRemoved struct{ Name string }
)

// UnknownExit is the exit code of a container that podman tells none of. It is not
// one of StopCodes.
const UnknownExit = -1

// The events of units, as their manager tells them (sd-messages.h).
type (
	// UnitStopping says that a stop job for the unit began.
	UnitStopping struct{ Unit string }
	// UnitStopped says that a stop job for the unit ended. Restart says that the
	// stop was the first half of a restart.
	UnitStopped struct {
		Unit    string
		Restart bool
	}
	// UnitSucceeded says that the unit ended well, by itself or by a stop job.
	UnitSucceeded struct{ Unit string }
	// UnitFailed says that the unit ended badly.
	UnitFailed struct{ Unit string }
)

// The events of the manager that runs the containers' units: that of the host, or
// that of a user.
type (
	// ManagerEnds says that the host, or the user's manager, goes down.
	ManagerEnds struct{}
	// ManagerBegins says that the user's manager is up again.
	ManagerBegins struct{}
	// HostUp says that the host is up again within the same boot: after a soft
	// reboot, or after `systemctl isolate` there and back.
	HostUp struct{}
)

func (ContainerStarted) hostEvent() {}
func (ContainerDied) hostEvent()    {}
func (ContainerStopped) hostEvent() {}
func (ContainerRemoved) hostEvent() {}
func (UnitStopping) hostEvent()     {}
func (UnitStopped) hostEvent()      {}
func (UnitSucceeded) hostEvent()    {}
func (UnitFailed) hostEvent()       {}
func (ManagerEnds) hostEvent()      {}
func (ManagerBegins) hostEvent()    {}
func (HostUp) hostEvent()           {}
