package daemon

import (
	"log/slog"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

func TestNowOf(t *testing.T) {
	activating := func(sub string) recover.UnitState {
		return recover.UnitState{Loaded: true, Active: "activating", Sub: sub}
	}
	loaded := func(active string) recover.UnitState { return recover.UnitState{Loaded: true, Active: active} }
	for name, c := range map[string]struct {
		state           recover.ContainerState
		unit            recover.UnitState
		job, unanswered bool
		want            recover.NowState
	}{
		"podman shows it running":          {state: recover.StateRunning, want: recover.NowRunning},
		"a job that podman does not show":  {unit: activating("start"), job: true, want: recover.NowRunning},
		"a job before its main process":    {unit: activating("start-pre"), job: true, want: recover.NowRestarting},
		"a start that is under way":        {unit: activating("start"), want: recover.NowDown},
		"systemd is about to restart it":   {unit: activating("auto-restart"), want: recover.NowRestarting},
		"no answer, active unit":           {unit: loaded("active"), unanswered: true, want: recover.NowRunning},
		"no answer, failed unit":           {unit: loaded("failed"), unanswered: true, want: recover.NowDown},
		"no answer, no unit":               {unanswered: true, want: recover.NowUnknown},
		"podman does not know it, no unit": {want: recover.NowDown},
		"an ended job":                     {unit: loaded("inactive"), job: true, want: recover.NowDown},
	} {
		list := map[string]recover.Sighting{}
		if c.state != "" {
			list["a"] = recover.Sighting{State: c.state}
		}
		if got := nowOf("a", list, c.unit, c.job, c.unanswered); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// What a reader has does not change under it.
func TestNowOfAReader(t *testing.T) {
	b := newBoard(slog.New(slog.DiscardHandler), recovertest.Here)
	b.showNow(map[string]recover.NowState{"a": recover.NowDown})
	status, _ := b.status()
	b.showNow(map[string]recover.NowState{"a": recover.NowRunning})
	b.showNow(map[string]recover.NowState{"b": recover.NowRunning})
	later, _ := b.status()
	b.replaceNow(map[string]recover.NowState{"c": recover.NowDown}, time.Now())
	b.showNow(map[string]recover.NowState{"d": recover.NowDown})
	if now := status.Now; len(now) != 1 || now["a"] != recover.NowDown {
		t.Errorf("the first reader has %v", now)
	}
	if now := later.Now; len(now) != 2 || now["a"] != recover.NowRunning || now["b"] != recover.NowRunning {
		t.Errorf("the second reader has %v", now)
	}
}
