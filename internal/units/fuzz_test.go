package units

import (
	"fmt"
	"path"
	"strings"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/godbus/dbus/v5"
)

// encode encodes a name for an object path as systemd does (sd_bus_path_encode(3)).
func encode(name string) string {
	if name == "" {
		return "_"
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if letter || i > 0 && c >= '0' && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}

func FuzzUnitOf(f *testing.F) {
	for _, seed := range []string{
		"app.service", "a-b_c@d:e.service", `dev\x2dsda.service`, "0.service", "_2", "_1g", "_", "__", "_+1", "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name != "" {
			if got := unitOf(dbus.ObjectPath("/org/freedesktop/systemd1/unit/" + encode(name))); got != name {
				t.Errorf("%q became %q", name, got)
			}
		}
		// A name that is not encoded never grows.
		if got := unitOf(dbus.ObjectPath(name)); len(got) > max(len(name), 1) {
			t.Errorf("%q became %q", name, got)
		}
	})
}

// FuzzExecStart checks that a container from a command line has a valid name and tier.
// podmancmd fuzzes the command line itself.
func FuzzExecStart(f *testing.F) {
	for _, seed := range []string{
		"podman run --name=db --label io.archy.tier=1 img", "podman run --name= x", "podman start ../x",
		"podman run -l io.archy.tier=100 --name a x", "podman run --label io.archy.tier=-1 --name a x",
	} {
		f.Add(strings.ReplaceAll(seed, " ", "\x00"))
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, ok := containerOf(strings.Split(line, "\x00"))
		if ok {
			if err := recover.CheckName(c.Name); err != nil {
				t.Error("accepted: ", err)
			}
		}
		if c.Tier != nil && (*c.Tier < 0 || *c.Tier > recover.MaxTier) {
			t.Errorf("tier %d", *c.Tier)
		}
	})
}

func FuzzCheckUnit(f *testing.F) {
	for _, seed := range []string{
		"", "a.service", ".service", "@.service", "a@.service", "a@b.service", "a.socket", "a.mount", "../a.service",
		"a b.service", "a\n.service", "é.service", "a.service.service", strings.Repeat("a", 248) + ".service",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, unit string) {
		if checkUnit(unit) != nil {
			// The name of a container with .service is valid, if it is short enough.
			if name, ok := strings.CutSuffix(unit, ".service"); ok && len(unit) < 240 && recover.CheckName(name) == nil {
				t.Errorf("the unit of container %q is refused", name)
			}
			return
		}
		if len(unit) > 255 || strings.ContainsAny(unit, "/ \t\r\n\x00") || path.Base(unit) != unit ||
			unitOf(dbus.ObjectPath("/"+encode(unit))) != unit {
			t.Errorf("accepted: %q", unit)
		}
		stem := strings.TrimSuffix(strings.TrimSuffix(unit, ".service"), ".socket")
		if stem == "" || stem[0] == '@' || strings.HasSuffix(stem, "@") {
			t.Errorf("accepted: %q", unit)
		}
	})
}
