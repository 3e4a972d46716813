package units

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOrder(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	set := func(unit, active string, after, requires []string) {
		f.set(unit, active, "", map[string]any{"Unit.After": after, "Unit.Requires": requires})
	}
	set("db.service", "inactive", []string{"basic.target", "app-pod.service"}, nil)
	set("basic.target", "active", []string{"app.service"}, nil)
	set("app.service", "inactive", []string{"db.service", "gone.service", "basic.target"}, []string{"db.service"})
	set("web.service", "inactive", []string{"app.service"}, nil)                              // an order alone
	set("member.service", "inactive", []string{"pod.service"}, []string{"pod.service"})       // through its pod
	set("pod.service", "inactive", []string{"db.service"}, nil)                               // which is no container
	set("late.service", "inactive", []string{"running.service"}, []string{"running.service"}) // that waits for nothing
	set("running.service", "active", []string{"db.service"}, nil)
	set("ring1.service", "inactive", []string{"ring2.service"}, nil)
	set("ring2.service", "inactive", []string{"ring1.service"}, nil)
	got, err := m.Order(soon(t), []string{"db.service", "app.service", "web.service", "member.service", "late.service",
		"ring1.service", "ring2.service", "../odd"})
	want := map[string][]string{
		"app.service":    {"db.service"},
		"web.service":    {"app.service"},
		"member.service": {"db.service"},
		"ring1.service":  {"ring2.service"},
		"ring2.service":  {"ring1.service"},
	}
	for unit, others := range want {
		if diff := cmp.Diff(others, got[unit]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", unit, diff)
		}
	}
	if err != nil || len(got["db.service"])+len(got["late.service"]) > 0 {
		t.Errorf("%v, %q", err, got)
	}
}

// Most units are in no order, or in a direct one. That is read without what they need otherwise.
func TestDirectOrder(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	for unit, after := range map[string][]string{
		"db.service":      {"basic.target", "lan.service", "db.service"},
		"app.service":     {"db.service", "lan.service"},
		"lan.service":     {"basic.target", "lan-pre.target"}, // it is down, as a network of Quadlet is
		"lan-pre.target":  {"lan.service"},
		"running.service": {"db.service"},
	} {
		f.set(unit, "inactive", "", map[string]any{"Unit.After": after})
	}
	f.set("basic.target", "active", "", map[string]any{"Unit.After": []string{"app.service"}})
	got, err := m.Order(soon(t), []string{"db.service", "app.service", "gone.service"})
	if diff := cmp.Diff(map[string][]string{"app.service": {"db.service"}}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if n := f.count("GetAll"); n > 0 {
		t.Errorf("%d units were read whole", n)
	}
}
