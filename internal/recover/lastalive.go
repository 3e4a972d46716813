package recover

import "time"

// A LastAlive is a moment at which a run was alive. Without a journal that lasts, it is
// all that is known of when the run ended.
type LastAlive struct {
	BootID      string `json:"bootId"`
	SoftReboots uint64 `json:"softReboots"`
	// Time is for people. It decides nothing.
	Time time.Time `json:"time"`
	// Snapshot is the Monotonic of the snapshot on disk, and Confirmed when a look last
	// found that the set was still the same; 0 where that is not known. What happened
	// between the two need not be replayed.
	Snapshot  time.Duration `json:"snapshotMonotonicNsec,omitempty"`
	Confirmed time.Duration `json:"confirmedMonotonicNsec,omitempty"`
}

// Replay is the moment from which on events have to be replayed over a snapshot.
func (a LastAlive) Replay(s Snapshot) time.Duration {
	same := a.BootID == s.BootID && a.SoftReboots == s.SoftReboots && a.Snapshot == s.Monotonic
	if same && len(s.Doubts) == 0 {
		return max(s.Monotonic, a.Confirmed)
	}
	return s.Monotonic
}

// Until returns the verdict with the moment when the run that it is about was last known
// to be alive.
func (v Verdict) Until(a LastAlive) Verdict {
	if p := v.Previous; v.Ending == HostCrashed && p != nil && p.BootID == a.BootID && p.SoftReboots == a.SoftReboots {
		v.LastAlive = a.Time
	}
	return v
}

// AliveUntil says until when a host was alive, by what was written down at most ten
// minutes later.
func AliveUntil(at time.Time) string {
	return "alive until about " + at.Local().Format("2006-01-02 15:04") + ", then gone"
}
