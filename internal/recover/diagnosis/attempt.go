package diagnosis

import "time"

// An Attempt is one start of a container, of which the journal is to return the lines.
type Attempt struct {
	// Unit is the unit's name, and MainPID its ExecMainPID= after the start
	// (org.freedesktop.systemd1.Service(5)), 0 if it is not known. Of a program that
	// has ended before journald looks, journald knows the PID and no unit; and where
	// rootless podman does not find itself in its unit's cgroup, as podman 4.3 on a
	// host with cgroup v1, it moves to a scope that is named after its PID.
	Unit    string
	MainPID int
	// InvocationID is the unit's InvocationID= after the start
	// (org.freedesktop.systemd1.Unit(5)), in hexadecimal; "" if it is not known.
	InvocationID string
	// Container is the container's name, ContainerID its whole ID or "". What it
	// prints is found by them where its unit only starts it: conmon then runs in a
	// unit of its own.
	Container, ContainerID string
	// Since and Until bound both by CLOCK_MONOTONIC as the journal has it, from before the
	// start on; Until is 0 for no end.
	Since, Until time.Duration
}
