package recover

import "testing"

func TestJudge(t *testing.T) {
	here := Identity{BootID: "b2", SoftReboots: 1, PID: 50, StartTime: 900}
	marker := func(boot string, soft uint64, pid int) *Marker {
		return &Marker{Identity: Identity{BootID: boot, SoftReboots: soft, PID: pid, StartTime: 10}}
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
