package recover_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

// Groups of suspects keep the tiers in order: what is of a higher tier starts after the
// suspects of lower ones. Suspects with evidence start after all others.
func TestGroupsKeepTiers(t *testing.T) {
	const none, evidence = "", "!"
	for name, c := range map[string]struct {
		containers string // NAME:TIER, and whether it is a suspect
		want       string // GROUP:NAMES, in the order of the starts; 0 starts with the tiers
	}{
		"no suspect":              {"a:0 b:3", "0:a,b"},
		"only suspects":           {"a:0? b:1? c:2? d:3? e:4?", "1:a,b 2:c 3:d 4:e"},
		"a suspect of a low tier": {"db:0? web:3", "1:db,web"},
		"one of a high tier":      {"db:0 web:3?", "0:db 1:web"},
		"of the same tier":        {"a:3 b:3? c:3?", "0:a 1:b 2:c"},
		"between":                 {"a:0? b:0? c:1 d:2? e:2? f:2 g:4", "1:a 2:b,c,f 3:d 4:e,g"},
		"with evidence":           {"db:0! web:3", "0:web 1:db"},
		"jobs and all":            {"a:0? b:0? c:0? d:0? e:0? f:0? g:0? h:0? web:3", "1:a,b 2:c,d 3:e,f 4:g,h,web"},
	} {
		t.Run(name, func(t *testing.T) {
			policy := recover.DefaultPolicy()
			policy.Tiers = map[int]recover.Patterns{}
			var set []recover.Container
			var holds recover.Holds
			resolved := map[string]recover.Resolution{}
			for word := range strings.FieldsSeq(c.containers) {
				name, rest, _ := strings.Cut(word, ":")
				tier := int(rest[0] - '0')
				policy.Tiers[tier] = append(policy.Tiers[tier], name)
				set = append(set, recover.Container{Name: name})
				resolved[name] = recover.Resolution{Unit: name + ".service"}
				if mark := rest[1:]; mark != none {
					holds.Quarantine = holds.Quarantine.With(recover.Suspect{
						Name: name, Strikes: 2, Case: "b", Evidence: mark == evidence})
				}
			}
			groups := map[int][]string{}
			for _, row := range recover.MakePlan(set, holds, recover.View{}, resolved, policy) {
				groups[row.Group] = append(groups[row.Group], row.Name)
				_, suspect := holds.Quarantine.Find(row.Name)
				if row.Alone != suspect {
					t.Errorf("%s: alone: %v", row.Name, row.Alone)
				}
			}
			var got []string
			for group := range 10 {
				if names := groups[group]; len(names) > 0 {
					got = append(got, fmt.Sprint(group, ":", strings.Join(names, ",")))
				}
			}
			if !slices.Equal(got, strings.Fields(c.want)) {
				t.Errorf("groups are %q, want %q", got, c.want)
			}
		})
	}
}
