package recover

import "slices"

// LeftDown are the containers that ran before a stop in order and that the policy does not
// start in this boot: the members of the snapshot, without those that recovery starts, that
// a user stopped, that could not be recovered before, and that are jobs.
func LeftDown(snapshot *Snapshot, starts []Container, userStopped []string, p Policy) (left []Container) {
	if snapshot == nil || p.CleanBoot == CleanBootRestore || p.Mode == ModeOff {
		return nil
	}
	for _, c := range snapshot.Containers {
		if !HasName(starts, c.Name) && !slices.Contains(userStopped, c.Name) && !c.Unrecovered && !c.Job {
			left = append(left, c)
		}
	}
	return left
}
