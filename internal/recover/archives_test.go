package recover

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// What the set uses is kept as far as there is room. What it does not use stays while podman has
// it, and yields.
func TestPlanArchives(t *testing.T) {
	use := func(id string, size int64) UsedImage { return UsedImage{ID: id, Size: size, Runs: true} }
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	kept := func(id string, size int64, days int) KeptImage { return KeptImage{id, size, day.AddDate(0, 0, days)} }
	all := map[string]bool{"old": true, "older": true}
	for name, test := range map[string]struct {
		f    ArchiveFacts
		want string
	}{
		"nothing":       {ArchiveFacts{}, "-;;"},
		"a new one":     {ArchiveFacts{Used: []UsedImage{use("a", 5)}}, "-;a;"},
		"kept already":  {ArchiveFacts{Used: []UsedImage{use("a", 5)}, Kept: []KeptImage{kept("a", 5, 0)}}, "-;;"},
		"does not run":  {ArchiveFacts{Used: []UsedImage{{ID: "a", Size: 5}}}, "-;;"},
		"too large":     {ArchiveFacts{Used: []UsedImage{use("a", 11), use("b", 10)}}, "-;b;a"},
		"the disk":      {ArchiveFacts{Used: []UsedImage{use("a", 5)}, Free: 9}, "-;;a"},
		"smaller first": {ArchiveFacts{Used: []UsedImage{use("a", 9), use("b", 1), use("c", 2)}}, "-;b c;a"},
		"after an update the last one stays": {ArchiveFacts{Used: []UsedImage{use("a", 5)},
			Kept: []KeptImage{kept("old", 5, 0)}, Has: all}, "-;a;"},
		"until podman has it no more": {ArchiveFacts{Used: []UsedImage{use("a", 5)},
			Kept: []KeptImage{kept("old", 5, 0)}}, "old;a;"},
		"or its room is needed": {ArchiveFacts{Used: []UsedImage{use("a", 6)},
			Kept: []KeptImage{kept("old", 3, 2), kept("older", 3, 1)}, Has: all}, "older;a;"},
		"on the disk, too": {ArchiveFacts{Used: []UsedImage{use("a", 4)}, Free: 5,
			Kept: []KeptImage{kept("old", 1, 2), kept("older", 3, 1)}, Has: all}, "older;a;"},
		"but not in vain": {ArchiveFacts{Used: []UsedImage{use("a", 20)},
			Kept: []KeptImage{kept("old", 5, 0)}, Has: all}, "-;;a"},
		"it yields once": {ArchiveFacts{Used: []UsedImage{use("a", 6), use("b", 7)},
			Kept: []KeptImage{kept("old", 5, 0)}, Has: all}, "old;a;b"},
		"one that is used and down stays": {ArchiveFacts{Used: []UsedImage{{ID: "old"}, use("a", 9)},
			Kept: []KeptImage{kept("old", 5, 0)}}, "-;;a"},
		"so does all, if one is not known": {ArchiveFacts{Used: []UsedImage{use("a", 9)}, Unsure: true,
			Kept: []KeptImage{kept("old", 5, 0)}}, "-;;a"},
	} {
		test.f.Max = 10
		if test.f.Free == 0 {
			test.f.Free = 100
		}
		drop, keep, noRoom := PlanArchives(test.f)
		ids := func(images []UsedImage) (all []string) {
			for _, u := range images {
				all = append(all, u.ID)
			}
			return all
		}
		dropped := strings.Join(drop, " ")
		if dropped == "" {
			dropped = "-"
		}
		got := fmt.Sprintf("%s;%s;%s", dropped, strings.Join(ids(keep), " "), strings.Join(ids(noRoom), " "))
		if got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
