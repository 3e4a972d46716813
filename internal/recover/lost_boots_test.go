package recover

import (
	"slices"
	"testing"
)

// The journal in memory has lost a boot between two that it has on disk. It stands in its
// place, with the recovery that followed it.
func TestLostBootBetweenOthers(t *testing.T) {
	reports := []Report{
		{ID: 1, BootID: "b1", Verdict: Verdict{Ending: EndedCleanly}},
		{ID: 2, BootID: "b3", Verdict: Verdict{Ending: HostCrashed, Cause: CauseUnknown, Previous: &Identity{BootID: "b2"}}},
		{ID: 3, BootID: "b5", Verdict: Verdict{Ending: HostCrashed, Cause: CauseUnknown, Previous: &Identity{BootID: "b4"}}},
	}
	boots := WithLostBoots([]Boot{{BootID: "b1"}, {BootID: "b3"}}, reports, 10)
	var ids []string
	for _, b := range boots {
		ids = append(ids, b.BootID)
	}
	if !slices.Equal(ids, []string{"b4", "b1", "b2", "b3"}) {
		t.Errorf("the boots are %q", ids)
	}
	for i, r := range RecoveriesAfter(boots, reports) {
		want := map[string]int{"b2": 2, "b4": 3}[boots[i].BootID]
		got := 0
		if r != nil {
			got = r.ID
		}
		if got != want {
			t.Errorf("after %s came recovery %d, want %d", boots[i].BootID, got, want)
		}
	}
}
