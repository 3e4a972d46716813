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

func TestUnitOfCgroup(t *testing.T) {
	t.Parallel()
	const userManager = "0::/user.slice/user-1000.slice/user@1000.service"
	for name, c := range map[string]struct{ cgroup, unit string }{
		"system service":          {"0::/system.slice/nginx.service\n", "nginx.service"},
		"session":                 {"0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope"},
		"user service":            {userManager + "/app.slice/backend.service\n", "backend.service"},
		"cgroup below service":    {"0::/system.slice/app.service/worker\n", "app.service"},
		"escaped name":            {"0::/system.slice/_cgroup.service\n", "cgroup.service"},
		"cgroup v1 and v2":        {"1:name=systemd:/x.service\n0::/system.slice/app.service\n", "app.service"},
		"kernel thread":           {"0::/\n", "unknown"},
		"cgroup v1 only":          {"1:name=systemd:/system.slice/x.service\n", "unknown"},
		"slice":                   {"0::/user.slice\n", "unknown"},
		"empty file":              {"", "unknown"},
		"outside our cgroup root": {"0::/../../app.service\n", "app.service"},
		"deleted cgroup":          {"0::/system.slice/app.service (deleted)\n", "unknown"},
	} {
		if unit := unitOfCgroup(c.cgroup); unit != c.unit {
			t.Errorf("%s: %q, want %q", name, unit, c.unit)
		}
	}
}

func TestUnitOfHiddenProcess(t *testing.T) {
	t.Parallel()
	const hidden = 1 << 30 // more than any PID
	s := &Server{}
	if unit := s.unitLookup.unitOf(t.Context(), 0); unit != unknownUnit {
		t.Errorf("PID 0: %q", unit)
	}
	if unit := s.unitLookup.unitOf(t.Context(), hidden); unit != unknownUnit {
		t.Errorf("without a lookup: %q", unit)
	}
	s.SetUnitLookup(func(ctx context.Context, pid int) (string, error) {
		if _, bounded := ctx.Deadline(); !bounded || pid != hidden {
			t.Errorf("lookup of PID %d with a deadline: %v", pid, bounded)
		}
		return "app.service", nil
	})
	if unit := s.unitLookup.unitOf(t.Context(), hidden); unit != "app.service" {
		t.Errorf("lookup that succeeds: %q", unit)
	}
	s.SetUnitLookup(func(context.Context, int) (string, error) { return "", errors.New("no bus") })
	if unit := s.unitLookup.unitOf(t.Context(), hidden); unit != unknownUnit {
		t.Errorf("lookup that fails: %q", unit)
	}
}

// The log entry of a refusal has the peer's PID, UID and unit.
func TestRefusalLogged(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to become another user")
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
	if err := await(t, d.served, "the end of Serve"); err != nil { // the log is complete now
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
	if entry.MessageID != recover.MsgRefused || entry.Level != "WARN" ||
		entry.Request != http.MethodPut+" /v1/user-stopped/a" || entry.PID != child.Process.Pid ||
		entry.UID != 65533 || entry.Unit == "" {
		t.Errorf("logged %+v", entry)
	}
}
