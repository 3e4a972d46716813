package recover

import "time"

// A Boot is a boot that the journal has entries of.
type Boot struct {
	// Index is 0 for the running boot, -1 for the one before it, and so on.
	Index  int       `json:"index"`
	BootID string    `json:"bootId"`
	First  time.Time `json:"firstEntry"`
	Last   time.Time `json:"lastEntry"`
	// Cause says why it ended. It is empty for the running boot.
	Cause Cause `json:"cause,omitempty"`
	// Evidence holds the entries that the cause rests on.
	Evidence []Entry `json:"evidence,omitempty"`
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
			clean := r.Verdict.Previous == nil && next != "" && r.BootID == next
			if crashed || clean {
				found[n] = r
				break
			}
		}
	}
	return found
}
