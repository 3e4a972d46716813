package daemon

import "archy-recovery/internal/recover"

// nowOfLife is what a container with that Life does at this moment.
func nowOfLife(life recover.Life) recover.NowState {
	switch life.State {
	case recover.LifeRuns:
		return recover.NowRunning
	case recover.LifeRestarting:
		return recover.NowRestarting
	case recover.LifeEnded, recover.LifeStopped:
		return recover.NowDown
	}
	return recover.NowUnknown
}

// nowOfRow is what a row's container does at the moment when it comes to a state.
func nowOfRow(row recover.Row) recover.NowState {
	switch row.State {
	case recover.RowUp, recover.RowActive:
		return recover.NowRunning
	case recover.RowRestarting:
		return recover.NowRestarting
	}
	return recover.NowDown
}

// nowOfRows is what the containers of a plan do.
func nowOfRows(rows []recover.Row, view recover.View) map[string]recover.NowState {
	now := map[string]recover.NowState{}
	for _, row := range rows {
		now[row.Name] = nowOfRow(row)
		if view.Unanswered[row.Name] || view.PodmanErr != nil && row.Generated {
			now[row.Name] = recover.NowUnknown
		}
	}
	return now
}

// nowOf is what a container does by podman and by its unit. unanswered: podman did not
// answer for it.
func nowOf(
	name string, list map[string]recover.Sighting, unit recover.UnitState, job, unanswered bool,
) recover.NowState {
	switch {
	case list[name].Running():
		return recover.NowRunning
	case job && unit.Active == "activating" && unit.Sub == "start": // all its life
		return recover.NowRunning
	case unit.Loaded && unit.Active == "activating" && unit.Sub != "start", unit.Job == "restart":
		return recover.NowRestarting
	case unanswered && unit.Loaded && (unit.Active == "active" || unit.Active == "reloading"):
		return recover.NowRunning
	case unanswered && !(unit.Loaded && (unit.Active == "inactive" || unit.Active == "failed")):
		return recover.NowUnknown
	}
	return recover.NowDown
}
