package recover

// A Resolution is the unit that starts a container: none (Unit empty) for a
// container that neither podman nor a unit knows, or an error for one whose unit
// could not be found out.
type Resolution struct {
	Unit string
	// Generated: podman generated the unit for this recovery.
	Generated bool
	// Job: the unit runs to its end (ContainerUnit.Job).
	Job   bool
	State UnitState
	Err   error
}
