package survey

import (
	"testing"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// A plan asks podman once what each container depends on; what it did not answer is asked again.
func TestDependenciesAskedOnce(t *testing.T) {
	h := recovertest.NewHost().Plain("db", recover.StateExited).Plain("web", recover.StateExited)
	h.Dependencies = map[string][]string{"web": {"db"}}
	host := Host{Podman: recovertest.Podman{H: h}, Systemd: recovertest.Systemd{H: h}}
	k := recover.Known{Set: []recover.Container{{Name: "db"}, {Name: "web"}}, UserStopped: []string{"db"}}
	host.Preview(t.Context(), k, recover.DefaultPolicy())
	for _, name := range []string{"db", "web"} {
		if n := h.DependenciesAsked[name]; n != 1 {
			t.Errorf("%s is asked about %d times", name, n)
		}
	}
	once := host.AskOnce()
	h.PodmanErr = recovertest.ErrBroken
	if _, err := once.Podman.Dependencies(t.Context(), "web"); err == nil {
		t.Error("no error")
	}
	h.PodmanErr = nil
	if needed, err := once.Podman.Dependencies(t.Context(), "web"); err != nil || len(needed) != 1 {
		t.Errorf("%q, %v", needed, err)
	}
}
