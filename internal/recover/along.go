package recover

import "strings"

// A Pull is a unit that matters for the start of another one.
type Pull struct {
	Unit string
	// Starts: that start starts it along (systemd.unit(5): Requires=, BindsTo=, Wants=,
	// Upholds=).
	Starts bool
	// Needed: that start does not go without it (Requires=, BindsTo=, Requisite=), or
	// systemd starts it whenever the other one runs (Upholds=).
	Needed bool
}

// Along is which containers that the user stopped the start of another one would start
// along.
type Along struct {
	// Needed are those that it does not start without.
	Needed []string
	// Wanted are those that it can start without.
	Wanted []string
	// Without are the units that its start has to leave out, so that none of Wanted
	// is started.
	Without []string
}

// NeedsStopped is the error of a start that would start containers which the user
// stopped.
type NeedsStopped struct{ Names []string }

func (e *NeedsStopped) Error() string {
	return "needs " + strings.Join(e.Names, ", ") + ", which you stopped"
}

// WithoutStopped says that the row's container starts without some that the user
// stopped. It is empty for any other row.
func (r Row) WithoutStopped() string {
	if len(r.Stopped) == 0 || r.State == RowNeedsStopped {
		return ""
	}
	return "without " + strings.Join(r.Stopped, ", ") + ", which you stopped"
}

// heed has a row that is to be started take care of what its start would start along.
func (r *Row) heed(a Along) {
	switch {
	case r.State != RowQueued:
	case len(a.Needed) > 0:
		r.State, r.Stopped = RowNeedsStopped, a.Needed
		r.Error = (&NeedsStopped{a.Needed}).Error()
	default:
		r.Stopped, r.Without = a.Wanted, a.Without
	}
}
