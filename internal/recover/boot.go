package recover

import "time"

// A Boot is a boot that the journal has entries of, or that the history knows of.
type Boot struct {
	// Index is 0 for the running boot, -1 for the one before it, and so on.
	Index  int       `json:"index"`
	BootID string    `json:"bootId"`
	First  time.Time `json:"firstEntry,omitzero"`
	Last   time.Time `json:"lastEntry,omitzero"`
	// Cause says why it ended. It is empty for the running boot.
	Cause Cause `json:"cause,omitempty"`
	// Evidence holds the entries that the cause rests on.
	Evidence []Entry `json:"evidence,omitempty"`
	// NotInJournal: only the history knows of the boot. It has no index and no entries.
	NotInJournal bool `json:"notInJournal,omitempty"`
	// LastAlive is when the host was last known to be alive, where the journal does not
	// tell how the boot ended.
	LastAlive time.Time `json:"lastAlive,omitzero"`
}

// WithLostBoots adds to the boots that the journal lists those that crashed and that it
// has lost, as one that is kept in memory does. It returns the last n. boots are the last
// n of the journal, too: where they are as many, it may know of earlier ones.
func WithLostBoots(boots []Boot, reports []Report, n int) []Boot {
	known := map[string]bool{}
	for _, b := range boots {
		known[b.BootID] = true
	}
	var all []Boot                // first those before all that the journal has
	before := map[string][]Boot{} // by the boot that came after it
	for _, r := range reports {
		v := r.Verdict
		if len(boots) >= n || v.Ending != HostCrashed || v.Previous == nil || known[v.Previous.BootID] {
			continue
		}
		lost := Boot{BootID: v.Previous.BootID, Cause: v.Cause, Evidence: v.Evidence, NotInJournal: true}
		if known[r.BootID] {
			before[r.BootID] = append(before[r.BootID], lost)
		} else {
			all = append(all, lost)
		}
	}
	for _, b := range boots {
		all = append(append(all, before[b.BootID]...), b)
	}
	for i, r := range RecoveriesAfter(all, reports) {
		if r != nil && all[i].Cause == CauseUnknown {
			all[i].LastAlive = r.Verdict.LastAlive
		}
	}
	return all[max(0, len(all)-n):]
}

// RecoveriesAfter finds for each boot the recovery that followed it, nil if there was
// none. The verdict of that recovery is about a run in the boot, and it was made in
// another boot. A verdict after a clean stop names no boot: then it is the first
// recovery in the next boot.
func RecoveriesAfter(boots []Boot, reports []Report) []*Report {
	found := make([]*Report, len(boots))
	for n, b := range boots {
		next := ""
		if n+1 < len(boots) {
			next = boots[n+1].BootID
		}
		for i := range reports {
			r := &reports[i]
			crashed := r.Verdict.Previous != nil && r.Verdict.Previous.BootID == b.BootID && r.BootID != b.BootID
			clean := r.Verdict.Previous == nil && next != "" && r.BootID == next && !b.NotInJournal
			if crashed || clean {
				found[n] = r
				break
			}
		}
	}
	return found
}
