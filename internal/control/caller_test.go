package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"archy-recovery/internal/recover"
)

func TestTheUnitOfAProcess(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct{ cgroup, unit string }{
		"a system service":              {"0::/system.slice/nginx.service\n", "nginx.service"},
		"a session":                     {"0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope"},
		"a user's service":              {"0::/user.slice/user-1000.slice/user@1000.service/app.slice/backend.service\n", "backend.service"},
		"a part of a service":           {"0::/system.slice/app.service/worker\n", "app.service"},
		"a name that systemd escaped":   {"0::/system.slice/_cgroup.service\n", "cgroup.service"},
		"beside old hierarchies":        {"1:name=systemd:/x.service\n0::/system.slice/app.service\n", "app.service"},
		"a kernel thread":               {"0::/\n", "unknown"},
		"only old hierarchies":          {"1:name=systemd:/system.slice/x.service\n", "unknown"},
		"a slice is no unit that asks":  {"0::/user.slice\n", "unknown"},
		"nothing":                       {"", "unknown"},
		"a path out of our own cgroup":  {"0::/../../app.service\n", "app.service"},
		"a cgroup that was removed now": {"0::/system.slice/app.service (deleted)\n", "unknown"},
	} {
		if unit := unitOfCgroup(c.cgroup); unit != c.unit {
			t.Errorf("%s: %q, want %q", sentence, unit, c.unit)
		}
	}
}

func TestTheUnitOfAProcessThatIsHidden(t *testing.T) {
	t.Parallel()
	const hidden = 1 << 30 // more than any PID
	s := &Server{}
	if unit := s.unitOf(t.Context(), 0); unit != unknown {
		t.Errorf("of a process that the kernel does not name: %q", unit)
	}
	if unit := s.unitOf(t.Context(), hidden); unit != unknown {
		t.Errorf("with nobody to ask: %q", unit)
	}
	s.AskUnits(func(ctx context.Context, pid int) (string, error) {
		if _, bounded := ctx.Deadline(); !bounded || pid != hidden {
			t.Errorf("asked for %d, bounded: %v", pid, bounded)
		}
		return "app.service", nil
	})
	if unit := s.unitOf(t.Context(), hidden); unit != "app.service" {
		t.Errorf("as systemd says: %q", unit)
	}
	s.AskUnits(func(context.Context, int) (string, error) { return "", errors.New("no bus") })
	if unit := s.unitOf(t.Context(), hidden); unit != unknown {
		t.Errorf("without a bus: %q", unit)
	}
}

// A refusal is logged, with who it was as far as the kernel says.
func TestARefusalIsLogged(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to be someone else")
	}
	var log bytes.Buffer
	d := newLimitedDaemon(t, running(), 65534, slog.New(slog.NewJSONHandler(&log, nil)), defaultLimits)
	child := exec.CommandContext(t.Context(), "/proc/self/exe")
	child.Env = []string{askAs + "=PUT /v1/user-stopped/a " + d.socket, "GORACE=atexit_sleep_ms=0"}
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65533, Gid: 65533}}
	out, err := child.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "403 ") {
		t.Fatalf("the peer got %s, %v", out, err)
	}
	d.stop()
	if err := await(t, d.served, "the end of Serve"); err != nil { // then the log is whole
		t.Fatal(err)
	}
	var entry struct {
		MessageID string `json:"MESSAGE_ID"`
		Level     string `json:"level"`
		Request   string `json:"request"`
		PID       int    `json:"peer_pid"`
		UID       int    `json:"peer_uid"`
		Unit      string `json:"peer_unit"`
	}
	if err := json.Unmarshal(log.Bytes(), &entry); err != nil {
		t.Fatalf("%v in %s", err, log.String())
	}
	if entry.MessageID != recover.MsgRefused || entry.Level != "WARN" || entry.Request != http.MethodPut+" /v1/user-stopped/a" ||
		entry.PID != child.Process.Pid || entry.UID != 65533 || entry.Unit == "" {
		t.Errorf("logged %+v", entry)
	}
}
