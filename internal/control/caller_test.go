package control

import (
	"bytes"
	"encoding/json"
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
	if unit := unitOf(0); unit != "unknown" {
		t.Errorf("of no process: %q", unit)
	}
	if unit := unitOf(1 << 30); unit != "unknown" {
		t.Errorf("of a process that is gone: %q", unit)
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
