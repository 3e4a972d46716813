package recover

import "testing"

func TestTierOf(t *testing.T) {
	one, nine := 1, 9
	p := DefaultPolicy()
	p.Tiers = map[int]Patterns{0: {"btcpay-db", "*-postgres"}, 2: {"lnd", "archy-electrs"}}
	for name, c := range map[string]struct {
		container Container
		want      int
	}{
		"by configuration":                    {Container{Name: "lnd"}, 2},
		"configuration goes before the label": {Container{Name: "lnd", Tier: &nine}, 2},
		"by pattern":                          {Container{Name: "penpot-postgres"}, 0},
		"the prefix archy- is ignored":        {Container{Name: "archy-btcpay-db"}, 0},
		"also in the configuration":           {Container{Name: "electrs"}, 2},
		"by label":                            {Container{Name: "x", Tier: &one}, 1},
		"by default":                          {Container{Name: "x"}, 3},
		"a name is not matched in its middle": {Container{Name: "lnd-ui"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			if got := p.TierOf(c.container); got != c.want {
				t.Errorf("tier %d, want %d", got, c.want)
			}
		})
	}
}
