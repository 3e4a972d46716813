package units

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

// TestStartOutcome checks the results of a job, with the state of the unit after it.
func TestStartOutcome(t *testing.T) {
	t.Parallel()
	loaded := func(active, sub string) recover.UnitState {
		return recover.UnitState{Loaded: true, Active: active, Sub: sub}
	}
	// props are the properties of a service with this result and exit status.
	props := func(result string, status int32) map[string]any {
		return map[string]any{"Service.Result": result, "Service.ExecMainStatus": status}
	}
	condition := func(met bool) map[string]any {
		p := props("success", 0)
		p["Unit.ConditionResult"] = met
		return p
	}
	for name, c := range map[string]struct {
		job, active, sub string
		props            map[string]any
		want             recover.Outcome
	}{
		"done": {
			"done", "active", "running", nil,
			recover.Outcome{Job: "done", UnitState: loaded("active", "running")},
		},
		"failed": {
			"failed", "failed", "failed", props("exit-code", 125),
			recover.Outcome{Job: "failed", UnitState: loaded("failed", "failed"), Result: "exit-code", ExitStatus: 125},
		},
		"failed, unit restarts": {
			"failed", "activating", "auto-restart", props("signal", 9),
			recover.Outcome{Job: "failed", UnitState: loaded("activating", "auto-restart"), Result: "signal", ExitStatus: 9},
		},
		"timeout": {
			"timeout", "activating", "start", props("success", 0),
			recover.Outcome{Job: "timeout", UnitState: loaded("activating", "start"), Result: "success"},
		},
		"dependency": {
			"dependency", "inactive", "dead", condition(false),
			recover.Outcome{Job: "dependency", UnitState: loaded("inactive", "dead"), Result: "success"},
		},
		"canceled": {
			"canceled", "inactive", "dead", props("success", 0),
			recover.Outcome{Job: "canceled", UnitState: loaded("inactive", "dead"), Result: "success"},
		},
		"done, condition not met": {
			"done", "inactive", "dead", condition(false),
			recover.Outcome{Job: "done", UnitState: loaded("inactive", "dead"), Result: "success", ConditionFailed: true},
		},
		"done, oneshot": {
			"done", "inactive", "dead", condition(true),
			recover.Outcome{Job: "done", UnitState: loaded("inactive", "dead"), Result: "success"},
		},
		"failed, with an invocation": {
			"failed", "failed", "failed", service("exit-code", 125, 0),
			recover.Outcome{Job: "failed", UnitState: loaded("failed", "failed"), Result: "exit-code", ExitStatus: 125,
				Invocation: invocationID},
		},
		"failed, with a main process": {
			"failed", "failed", "failed", map[string]any{"Service.ExecMainPID": uint32(77)},
			recover.Outcome{Job: "failed", UnitState: loaded("failed", "failed"), MainPID: 77},
		},
		"done, which costs no question for the invocation": {
			"done", "active", "running", service("success", 0, 0),
			recover.Outcome{Job: "done", UnitState: loaded("active", "running")},
		},
		"failed, no service properties": {
			"failed", "failed", "failed", nil,
			recover.Outcome{Job: "failed", UnitState: loaded("failed", "failed")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			f.starts(func(call *startCall) {
				job := f.newJob()
				call.reply(job)
				f.set(call.unit, c.active, c.sub, c.props)
				f.end(job, call.unit, c.job)
			})
			got, err := m.Start(soon(t), "app.service")
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestStartReference checks that a unit with conditions, and no other, is referenced during its start. Otherwise
// systemd may unload it at its end, and lose the result of the conditions.
func TestStartReference(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		conditions []condition
		references int
	}{
		"with conditions":    {[]condition{{Type: "ConditionPathExists", Parameter: "/mnt/data"}}, 1},
		"without conditions": {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			props := map[string]any{
				"Unit.Conditions": c.conditions, "Unit.ConditionResult": false,
				"Service.Result": "success", "Service.ExecMainStatus": int32(0),
			}
			f.set("app.service", "inactive", "dead", props)
			f.starts(func(call *startCall) {
				job := f.newJob()
				call.reply(job)
				f.end(job, call.unit, "done")
			})
			o, err := m.Start(soon(t), "app.service")
			if err != nil || o.ConditionFailed != (c.references > 0) || f.count("RefUnit") != c.references {
				t.Errorf("%+v, %v; %d references", o, err, f.count("RefUnit"))
			}
			syncReplies(t, m)
			if f.count("UnrefUnit") != c.references {
				t.Errorf("%d references were released", f.count("UnrefUnit"))
			}
			checkNoReference(t, f)
		})
	}
}

func TestStartInvalidName(t *testing.T) {
	t.Parallel()
	m, f := newManager(t)
	for _, name := range invalidUnits {
		if _, err := m.Start(soon(t), name); err == nil {
			t.Errorf("%q was started", name)
		}
	}
	if n := f.count("StartUnit"); n > 0 {
		t.Errorf("%d calls reached systemd", n)
	}
}

// invalidUnits are not names of services or sockets that can be started.
var invalidUnits = []string{
	"", "app", ".service", "app.target", "app.service.wants", "../app.service", "a/b.service", "a b.service",
	"äpp.service", "app.service\n", "@.service", "@x.service", "app@.service", "app@.socket",
	strings.Repeat("a", 256-len(".service")) + ".service",
}

// TestStartOfOwnUnit checks that the end of a unit of Install is known from its job alone, unless that failed or
// the operator has drop-ins for the unit.
func TestStartOfOwnUnit(t *testing.T) {
	t.Parallel()
	ended := recover.UnitState{Loaded: true, Active: "inactive", Sub: "dead"}
	failed := recover.UnitState{Loaded: true, Active: "failed", Sub: "failed"}
	unmet := []condition{{Type: "ConditionPathExists", Parameter: "/mnt/data"}}
	for name, c := range map[string]struct {
		dropIns    []string
		elsewhere  string // the file that systemd prefers
		conditions []condition
		state      recover.UnitState
		job        string
		want       recover.Outcome
		looks      int
	}{
		"done": {nil, "", nil, ended, "done", recover.Outcome{Job: "done", UnitState: ended, Result: "success"}, 0},
		"failed": {nil, "", nil, failed, "failed",
			recover.Outcome{Job: "failed", UnitState: failed, Result: "exit-code", ExitStatus: 125}, 1},
		"a drop-in": {[]string{"/etc/systemd/system/container-.service.d/x.conf"}, "", nil, ended, "done",
			recover.Outcome{Job: "done", UnitState: ended, Result: "exit-code", ExitStatus: 125}, 1},
		"a drop-in with a condition": {[]string{"/etc/systemd/system/container-.service.d/x.conf"}, "", unmet, ended, "done",
			recover.Outcome{Job: "done", UnitState: ended, Result: "exit-code", ExitStatus: 125, ConditionFailed: true}, 1},
		"another file": {nil, "/etc/systemd/system/container-a.service", nil, ended, "done",
			recover.Outcome{Job: "done", UnitState: ended, Result: "exit-code", ExitStatus: 125}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			if err := os.MkdirAll(m.runtimeDir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(m.runtimeDir, "container-a.service"), []byte(header), 0o644); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(m.runtimeDir, "container-a.service")
			if c.elsewhere != "" {
				file = c.elsewhere
			}
			f.set("container-a.service", c.state.Active, c.state.Sub, map[string]any{
				"Unit.FragmentPath": file,
				"Unit.DropInPaths":  append([]string{}, c.dropIns...),
				"Unit.Conditions":   c.conditions, "Unit.ConditionResult": false,
				"Service.Result": "exit-code", "Service.ExecMainStatus": int32(125),
			})
			f.starts(func(call *startCall) {
				job := f.newJob()
				call.reply(job)
				f.end(job, call.unit, c.job)
			})
			got, err := m.Start(soon(t), "container-a.service")
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if f.count("ListUnitsByNames") != c.looks || f.count("RefUnit") != len(c.conditions) {
				t.Errorf("%d looks, want %d; %d references", f.count("ListUnitsByNames"), c.looks, f.count("RefUnit"))
			}
		})
	}
}
