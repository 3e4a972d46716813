package recover

import (
	"slices"
	"testing"
)

func TestJudge(t *testing.T) {
	here := Identity{BootID: "b2", SoftReboots: 1, PID: 50, StartTime: 900}
	marker := func(boot string, soft uint64, pid int) *Marker {
		return &Marker{Identity: Identity{BootID: boot, SoftReboots: soft, PID: pid, StartTime: 10}}
	}
	left := func(boot string, soft uint64, what Leftover) *Marker {
		m := marker(boot, soft, 7)
		m.Left = what
		return m
	}
	for name, c := range map[string]struct {
		last *Marker
		want Ending
	}{
		"no marker is a clean stop":          {nil, EndedCleanly},
		"a marker of a live process refuses": {&Marker{Alive: true}, StillRunning},
		"a garbled marker is an unclean end": {&Marker{Garbled: true}, EndedUncleanly},
		"a bare PID is an unclean end": {
			&Marker{Identity: Identity{PID: 7}, Legacy: true}, EndedUncleanly},
		"a bare PID that is our own now is one too": {
			&Marker{Identity: Identity{PID: 50}, Legacy: true}, EndedUncleanly},
		"another boot is a host crash":                        {marker("b1", 1, 7), HostCrashed},
		"another boot is one also with our PID":               {marker("b1", 1, 50), HostCrashed},
		"fewer soft-reboots in the same boot is one":          {marker("b2", 0, 7), HostCrashed},
		"the same boot is a service crash":                    {marker("b2", 1, 7), ServiceCrashed},
		"the same boot and PID, started earlier, is one, too": {marker("b2", 1, 50), ServiceCrashed},
		"one that began later than we did was of a boot with the same ID": {
			&Marker{Identity: Identity{BootID: "b2", SoftReboots: 1, PID: 7, StartTime: 901}}, HostCrashed},
		"the work of a run in another boot was left":          {left("b1", 1, LeftStarts), EndedEarly},
		"it was left in this boot":                            {left("b2", 1, LeftStarts), EndedEarly},
		"the set was left in another boot":                    {left("b1", 1, LeftSet), EndedEarly},
		"the set was left in this boot":                       {left("b2", 1, LeftInBoot), EndedEarly},
		"what counts in its boot alone is of another boot":    {left("b1", 1, LeftInBoot), EndedCleanly},
		"what counts in its boot alone is before a soft boot": {left("b2", 0, LeftInBoot), EndedCleanly},
		"a later version left something":                      {left("b1", 1, "more"), EndedEarly},
	} {
		t.Run(name, func(t *testing.T) {
			v := Judge(c.last, here)
			if v.Ending != c.want {
				t.Errorf("Judge says %s, want %s", v.Ending, c.want)
			}
			if v.Reason == "" {
				t.Error("a verdict without a reason")
			}
			if v.Unclean() && v.Cause == "" {
				t.Error("an unclean end without a cause, not even unknown")
			}
		})
	}
}

func TestUnsaved(t *testing.T) {
	id := func(boot string) Identity { return Identity{BootID: boot} }
	for name, c := range map[string]struct {
		last  *Marker
		saved string
		want  []string
	}{
		"no marker":           {nil, "b1", nil},
		"the snapshot's boot": {&Marker{Identity: id("b1")}, "b1", nil},
		"a later boot":        {&Marker{Identity: id("b2")}, "b1", []string{"b2"}},
		"several": {&Marker{Identity: id("b4"), Earlier: []string{"b2", "b3"}}, "b1",
			[]string{"b2", "b3", "b4"}},
		"the snapshot is of one before": {&Marker{Identity: id("b4"), Earlier: []string{"b2", "b3"}}, "b3", []string{"b4"}},
		"the same boot twice":           {&Marker{Identity: id("b2"), Earlier: []string{"b2"}}, "b1", []string{"b2"}},
		"without a boot":                {&Marker{Earlier: []string{"b2"}}, "b1", []string{"b2"}},
	} {
		if got := c.last.Unsaved(c.saved); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	long := &Marker{Identity: id("last")}
	for range 300 {
		long.Earlier = append(long.Earlier, string(rune('a'+len(long.Earlier)%26)))
	}
	if got := long.Unsaved("none"); len(got) != maxEarlier || got[maxEarlier-1] != "last" {
		t.Errorf("%d boots, the last is %s", len(got), got[len(got)-1])
	}
}
