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
