package recover

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestAwaitHealth: what waits for a health check by WaitFor=, the label, and what podman
// said of the container.
func TestAwaitHealth(t *testing.T) {
	for _, c := range []struct {
		policy WaitFor
		label  string
		check  HealthCheck
		want   HealthWait
	}{
		{WaitForAuto, "", HasHealthCheck, HealthForTier},
		{WaitForAuto, "", "", HealthForTier}, // podman is asked after the start
		{WaitForAuto, "", NoHealthCheck, HealthIgnored},
		{WaitForAuto, "active", HasHealthCheck, HealthIgnored},
		{WaitForAuto, "healthy", HasHealthCheck, HealthForReady},
		{WaitForAuto, "auto", HasHealthCheck, HealthForTier}, // no value of the label
		{WaitForActive, "", HasHealthCheck, HealthIgnored},
		{WaitForActive, "healthy", HasHealthCheck, HealthForReady},
		{WaitForActive, "healthy", NoHealthCheck, HealthIgnored},
		{WaitForHealthy, "", HasHealthCheck, HealthForReady},
		{WaitForHealthy, "active", HasHealthCheck, HealthIgnored},
	} {
		t.Run(fmt.Sprintf("%s %s %s", c.policy, c.label, c.check), func(t *testing.T) {
			p := DefaultPolicy()
			p.WaitFor = c.policy
			if got := p.waitForHealth(Container{Health: c.check, Wait: ParseWait(c.label)}); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

// TestNothingFollows: nobody waits for the health of the containers that start last.
func TestNothingFollows(t *testing.T) {
	for name, c := range map[string]struct{ rows, want string }{
		"tiers":         {"a:0 b:3 c:3", "a"},
		"a suspect":     {"a:3 b:3 s:1!", "a b"},
		"of a suspect":  {"s:1! t:2!", "s"},
		"what runs":     {"a:0 b:3 r:4-", "a"},
		"only one tier": {"a:1 b:1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var rows []Row
			for word := range strings.FieldsSeq(c.rows) {
				row := Row{Name: word[:1], Tier: int(word[2] - '0'), State: RowQueued, AwaitHealth: HealthForTier}
				if strings.HasSuffix(word, "!") {
					row.Group = 1
				}
				if strings.HasSuffix(word, "-") {
					row.State = RowActive
				}
				rows = append(rows, row)
			}
			ignoreLastHealth(rows)
			var waited []string
			for _, row := range rows {
				if row.AwaitHealth == HealthForTier {
					waited = append(waited, row.Name)
				}
			}
			if !slices.Equal(waited, strings.Fields(c.want)) {
				t.Errorf("waited for %q, want %q", waited, c.want)
			}
		})
	}
	ready := []Row{{Name: "a", State: RowQueued, AwaitHealth: HealthForReady}}
	if ignoreLastHealth(ready); ready[0].AwaitHealth != HealthForReady {
		t.Error("READY does not wait")
	}
}

func TestHealthNote(t *testing.T) {
	for _, c := range []struct {
		row  Row
		want string
	}{
		{Row{State: RowUp, Health: HealthAwaited}, "not healthy yet"},
		{Row{State: RowUp, Health: HealthLate}, "not healthy yet when recovery went on without it"},
		{Row{State: RowUp, Health: HealthPassed}, ""},
		{Row{State: RowUp}, ""},
		{Row{State: RowFell, Health: HealthLate}, ""},
	} {
		if got := c.row.HealthNote(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestHealthIsRemembered: what podman does not say of a container stays known.
func TestHealthIsRemembered(t *testing.T) {
	before := Container{Name: "db", Health: HasHealthCheck}
	now := Sighting{Container: Container{Name: "db"}, State: StateRunning}
	if got := NextSet([]Container{before}, Sightings{now}, nil, nil); got[0].Health != HasHealthCheck {
		t.Errorf("the next set has %+v", got)
	}
	if got := before.restarted(Container{Name: "db"}); got.Health != HasHealthCheck {
		t.Errorf("after a restart it is %+v", got)
	}
	var view View
	view.TakeList(Sightings{now}, nil)
	if got := view.Update(before); got.Health != HasHealthCheck {
		t.Errorf("in the view it is %+v", got)
	}
	now.Health = NoHealthCheck
	if got := NextSet([]Container{before}, Sightings{now}, nil, nil); got[0].Health != NoHealthCheck {
		t.Errorf("the next set has %+v", got)
	}
}
