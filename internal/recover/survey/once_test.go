package survey

import (
	"testing"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// A plan asks podman once what each container was made with; what it did not answer is asked again.
func TestConfigAskedOnce(t *testing.T) {
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
	once, configs := host.AskOnce()
	h.PodmanErr = recovertest.ErrBroken
	if _, err := once.Podman.ConfigOf(t.Context(), "web"); err == nil {
		t.Error("no error")
	}
	if _, known := configs.Known("web"); known {
		t.Error("a question without an answer counts as one")
	}
	h.PodmanErr = nil
	if config, err := once.Podman.ConfigOf(t.Context(), "web"); err != nil || len(config.Needs) != 1 {
		t.Errorf("%v, %v", config, err)
	}
	if config, known := configs.Known("web"); !known || len(config.Needs) != 1 {
		t.Errorf("%v, %t", config, known)
	}
}
