package units

import (
	"errors"
	"slices"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

// recordStarts records the StartUnit calls as "unit mode", and starts the units but for those that end otherwise.
func (f *fakeSystemd) recordStarts(otherwise map[string]string) *[]string {
	var calls []string
	f.starts(func(c *startCall) {
		f.change(func() { calls = append(calls, c.unit+" "+c.msg.Body[1].(string)) })
		job := f.newJob()
		c.reply(job)
		result, ends := otherwise[c.unit]
		if !ends {
			f.change(func() { f.units[c.unit].active = "active" })
			result = "done"
		}
		f.end(job, c.unit, result)
	})
	return &calls
}

func TestStartWithout(t *testing.T) {
	t.Parallel()
	type deps = map[string]any
	on := func(names ...string) []string { return names }
	for name, c := range map[string]struct {
		units     map[string]deps // besides db.service, which is to be left out
		active    []string
		otherwise map[string]string
		want      []string
		job       string
		blockers  []string
	}{
		"the other requirements come first": {
			units: map[string]deps{
				"app.service": {"Unit.Wants": on("db.service"), "Unit.Requires": on("side.service", "up.service"),
					"Unit.After": on("side.service", "db.service")},
				"side.service": {}, "up.service": {},
			},
			active: on("up.service"),
			want:   on("side.service replace", "app.service ignore-requirements"), job: "done",
		},
		"in the order of After=": {
			units: map[string]deps{
				"app.service": {"Unit.Wants": on("db.service", "a.service", "b.service"),
					"Unit.After": on("a.service", "b.service")},
				"a.service": {"Unit.After": on("b.service")}, "b.service": {},
			},
			want: on("b.service replace", "a.service replace", "app.service ignore-requirements"), job: "done",
		},
		"a requirement that wants it starts without it, too": {
			units: map[string]deps{
				"app.service": {"Unit.Requires": on("mid.service")}, "mid.service": {"Unit.Wants": on("db.service")},
			},
			want: on("mid.service ignore-requirements", "app.service ignore-requirements"), job: "done",
		},
		"what is wanted and needs it is left out": {
			units: map[string]deps{
				"app.service": {"Unit.Wants": on("mid.service")}, "mid.service": {"Unit.Requires": on("db.service")},
			},
			want: on("app.service ignore-requirements"), job: "done",
		},
		"a pod starts before its member, and the others do not": {
			units: map[string]deps{
				"app.service": {"Unit.BindsTo": on("pod.service"), "Unit.After": on("pod.service")},
				"web.service": {"Unit.BindsTo": on("pod.service"), "Unit.After": on("pod.service")},
				"pod.service": {"Unit.Wants": on("app.service", "db.service", "web.service")},
			},
			want: on("pod.service ignore-requirements", "app.service ignore-requirements"), job: "done",
		},
		"what is wanted and comes later": {
			units: map[string]deps{
				"app.service":  {"Unit.Wants": on("db.service", "late.service")},
				"late.service": {"Unit.After": on("app.service")},
			},
			want: on("app.service ignore-requirements", "late.service replace"), job: "done",
		},
		"not if a requirement fails": {
			units: map[string]deps{
				"app.service":  {"Unit.Wants": on("db.service"), "Unit.Requires": on("side.service")},
				"side.service": {},
			},
			otherwise: map[string]string{"side.service": "failed"},
			want:      on("side.service replace"), job: "dependency", blockers: on("side.service"),
		},
		"all the same if what it wants fails": {
			units: map[string]deps{
				"app.service":  {"Unit.Wants": on("db.service", "side.service"), "Unit.After": on("side.service")},
				"side.service": {},
			},
			otherwise: map[string]string{"side.service": "failed"},
			want:      on("side.service replace", "app.service ignore-requirements"), job: "done",
		},
		"not if it needs it after all": {
			units: map[string]deps{"app.service": {"Unit.Requisite": on("db.service")}},
			job:   "dependency", blockers: on("db.service"),
		},
		"not if what it requires does not exist": {
			units: map[string]deps{"app.service": {"Unit.Wants": on("db.service"), "Unit.Requires": on("gone.service")}},
			job:   "dependency", blockers: on("gone.service"),
		},
		"a requirement may end at once": {
			units: map[string]deps{
				"app.service":  {"Unit.Wants": on("db.service"), "Unit.Requires": on("once.service")},
				"once.service": {},
			},
			otherwise: map[string]string{"once.service": "done"},
			want:      on("once.service replace", "app.service ignore-requirements"), job: "done",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			f.set("db.service", "inactive", "dead", nil)
			for unit, props := range c.units {
				active := "inactive"
				if slices.Contains(c.active, unit) {
					active = "active"
				}
				f.set(unit, active, "", props)
			}
			calls := f.recordStarts(c.otherwise)
			o, err := m.Start(soon(t), "app.service", "db.service")
			if err != nil || o.Job != c.job {
				t.Errorf("%+v, %v", o, err)
			}
			f.change(func() {
				if diff := cmp.Diff(c.want, *calls); diff != "" {
					t.Errorf("started (-want +got):\n%s", diff)
				}
			})
			if diff := cmp.Diff(c.blockers, o.Blockers); diff != "" {
				t.Errorf("blockers (-want +got):\n%s", diff)
			}
		})
	}
}

// In the mode ignore-requirements systemd starts a unit also while the host goes down.
func TestStartWithoutAtShutdown(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.setDependencies("app.service", "inactive", nil, []string{"db.service"})
	f.set("db.service", "inactive", "dead", nil)
	calls := f.recordStarts(nil)
	f.property("SystemState", "stopping")
	if _, err := m.Start(soon(t), "app.service", "db.service"); !errors.Is(err, recover.ErrGoingDown) || len(*calls) > 0 {
		t.Errorf("%v; started were %q", err, *calls)
	}
}

// A job that only wants a unit starts without it.
func TestStartJobWithout(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	f.setDependencies("app.service", "inactive", nil, []string{"db.service"})
	f.set("db.service", "inactive", "dead", nil)
	calls := f.recordStarts(nil)
	o, err := m.StartJob(soon(t), "app.service", "db.service")
	if err != nil || o.Active != "active" {
		t.Errorf("%+v, %v", o, err)
	}
	f.change(func() {
		if diff := cmp.Diff([]string{"app.service ignore-requirements"}, *calls); diff != "" {
			t.Errorf("started (-want +got):\n%s", diff)
		}
	})
}
