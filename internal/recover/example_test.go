package recover_test

import (
	"fmt"

	"archy-recovery/internal/recover"
)

// The host crashed while three containers ran. One is on the user-stopped list,
// and db was in flight at the crash: it starts after the tiers, and web after it.
func ExampleMakePlan() {
	ran := []recover.Container{
		{Name: "web", Unit: "web.service"},
		{Name: "db", Unit: "db.service"},
		{Name: "files", Unit: "files.service"},
	}
	policy := recover.DefaultPolicy()
	policy.Tiers = map[int]recover.Patterns{0: {"db"}}
	holds := recover.Holds{
		UserStopped: []string{"files"},
		Quarantine:  recover.Quarantine{{Name: "db", Strikes: 1}},
	}
	// By package survey: which unit starts each container.
	resolved := map[string]recover.Resolution{}
	for _, c := range ran {
		resolved[c.Name] = recover.Resolution{Unit: c.Unit}
	}
	for _, row := range recover.MakePlan(ran, holds, recover.View{}, resolved, policy) {
		fmt.Printf("tier %d: %s is %s, alone: %v\n", row.Tier, row.Name, row.State, row.Alone)
	}
	// Output:
	// tier 3: files is user-stopped, alone: false
	// tier 0: db is queued, alone: true
	// tier 3: web is queued, alone: false
}
