package units

import (
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// ago is a time of systemd's monotonic clock, in µs.
func ago(d time.Duration) uint64 { return uint64((monotonic() - d) / time.Microsecond) }

// TestLifeStoppedAlong checks that a stop job that another unit's end, stop or start has brought along is told from
// one that somebody asked for.
func TestLifeStoppedAlong(t *testing.T) {
	t.Parallel()
	names := func(kind string, units ...string) map[string]any { return map[string]any{"Unit." + kind: units} }
	with := func(props ...map[string]any) map[string]any {
		all := map[string]any{}
		for _, p := range props {
			for key, value := range p {
				all[key] = value
			}
		}
		return all
	}
	stopped, ended := recover.LifeStopped, recover.LifeEnded
	const other = "other.service"
	for name, c := range map[string]struct {
		props              map[string]any // of the service
		active, sub, job   string         // of the other unit
		otherProps         map[string]any
		want               recover.LifeState
		because, unit, end string
	}{
		"somebody asked": {with(names("BindsTo", other), names("After", other), names("Conflicts", "shutdown.target")),
			"active", "running", "", nil, stopped, "", other, ""},
		"no other unit": {nil, "inactive", "dead", "stop", nil, stopped, "", other, ""},
		"its pod is stopped": {with(names("BindsTo", other), names("After", other)),
			"active", "running", "stop", nil, stopped, other + " was stopped", other, ""},
		"its pod has failed": {with(names("BindsTo", other), names("After", other)),
			"failed", "failed", "", nil, ended, other + " has ended", other, ""},
		"its pod has ended well": {with(names("BindsTo", other), names("After", other)),
			"inactive", "dead", "", nil, ended, other + " has ended", other, ""},
		"its pod is being restarted by systemd": {with(names("BindsTo", other), names("After", other)),
			"activating", "auto-restart", "", nil, ended, other + " has ended", other, ""},
		"bound without an order": {names("BindsTo", other),
			"inactive", "dead", "", nil, stopped, other + " was stopped", other, ""},
		"what it is part of is stopped": {names("PartOf", other),
			"deactivating", "stop-sigterm", "stop", nil, stopped, other + " was stopped", other, ""},
		"its target has stopped already": {names("PartOf", "app.target"), "inactive", "dead", "",
			map[string]any{"Unit.InactiveEnterTimestampMonotonic": func() uint64 { return ago(100 * time.Millisecond) }},
			stopped, "app.target was stopped", "app.target", ""},
		"its target stopped long ago": {names("PartOf", "app.target"), "inactive", "dead", "",
			map[string]any{"Unit.InactiveEnterTimestampMonotonic": func() uint64 { return ago(time.Minute) }},
			stopped, "", "app.target", ""},
		"what it requires never ran": {names("Requires", other), "inactive", "dead", "",
			map[string]any{"Unit.InactiveEnterTimestampMonotonic": uint64(0)}, stopped, "", other, ""},
		"one in conflict starts": {names("Conflicts", other), "inactive", "dead", "start", nil, stopped,
			other + ", which conflicts with it, was started", other, ""},
		"one in conflict runs": {names("ConflictedBy", other), "active", "running", "", nil, stopped,
			other + ", which conflicts with it, was started", other, ""},
		"one in conflict is stopped": {names("Conflicts", other), "active", "running", "stop", nil, stopped,
			"", other, ""},
		"the other is gone at its end": {with(names("BindsTo", other), names("After", other)),
			"active", "running", "stop", nil, stopped, other + " was stopped", other, "inactive"},
		"the other runs again at its end": {with(names("BindsTo", other), names("After", other)),
			"activating", "auto-restart", "", nil, ended, other + " has ended", other, "active"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			f.set("app.service", "active", "running", c.props)
			for name, value := range c.otherProps {
				if now, ok := value.(func() uint64); ok {
					c.otherProps[name] = now()
				}
			}
			f.set(c.unit, c.active, c.sub, c.otherProps)
			f.change(func() { f.jobs[c.unit] = c.job })
			done := lifeAsync(soon(t), m, runs)
			f.awaitCall("ListUnitsByNames")
			f.begins("app.service", "stop")
			awaitStopping(t, m, true)
			if c.end != "" {
				awaitCause(t, m)
				f.change(func() { f.jobs[c.unit] = "" })
				f.set(c.unit, c.end, "", c.otherProps)
			}
			f.become("app.service", "inactive", "dead", with(c.props, service("success", 0, 0)))
			want := recover.Life{State: c.want, Because: c.because, Result: "success"}
			if c.want == ended {
				want.Invocation = invocationID
			}
			wantLife(t, done, want)
		})
	}
}

// awaitCause waits until systemd was asked why the service is stopped.
func awaitCause(t *testing.T, m *Manager) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		m.feeds[0].mu.Lock()
		u := m.feeds[0].units["app.service"]
		known := u != nil && u.cause != nil
		m.feeds[0].mu.Unlock()
		if known {
			return
		}
	}
	t.Fatal("systemd was not asked")
}

// TestLifeEndForgotten checks that the exit code of a unit that systemd unloads after a failure is unknown.
func TestLifeEndForgotten(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode, invocation string
		code             int
		result           string
	}{
		"unloaded after a failure, or not": {"inactive-or-failed", "", recover.UnknownExit, ""},
		"unloaded after success":           {"inactive", "", 0, "success"},
		"still loaded":                     {"inactive-or-failed", string(invocation), 0, "success"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, f := newManager(t)
			props := service("success", 0, 0)
			props["Unit.CollectMode"], props["Unit.InvocationID"] = c.mode, []byte(c.invocation)
			f.set("app.service", "inactive", "dead", props)
			want := recover.Life{State: recover.LifeEnded, ExitCode: c.code, Result: c.result}
			if c.invocation != "" {
				want.Invocation = invocationID
			}
			wantLife(t, lifeAsync(soon(t), m, runs), want)
		})
	}
}
