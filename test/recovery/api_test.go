package recovery

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
)

func (n *node) socket() string {
	if n.uid == 0 {
		return "/run/archy-recovery/control.sock"
	}
	return fmt.Sprintf("/run/archy-recovery/%d.sock", n.uid)
}

// curl is a request as a program would make it, with its answer's status code
// in the last line.
func (n *node) curl(method, path string, more ...string) []string {
	return append([]string{"curl", "--silent", "--max-time", "20", "--write-out", `\n%{http_code}`, "--request", method,
		"--unix-socket", n.socket(), "http://localhost" + path}, more...)
}

// as runs a command in a unit of its own, as a user.
func as(user, unit string, command []string) []string {
	return append([]string{"systemd-run", "--quiet", "--wait", "--pipe", "--uid=" + user, "--unit=" + unit}, command...)
}

// answered wants a status code, and returns the body.
func (n *node) answered(code string, command []string) string {
	n.t.Helper()
	out, err := n.Run(command...)
	i := strings.LastIndexByte(out, '\n')
	if i < 0 || strings.TrimSpace(out[i:]) != code {
		n.t.Errorf("%s: got %q, %v, want %s", strings.Join(command, " "), out, err, code)
	}
	return out[:max(i, 0)]
}

// All that a program asks over the socket, with curl: by root, by uid 1000, and
// by someone of the group, who may only read.
func TestTheSocketWithCurl(t *testing.T) {
	both(t, "", func(n *node) {
		n.quadlet("sql", 0, "", "")
		n.user.Systemctl("start", "sql")
		n.enable()
		n.saved("sql")
		n.MustRun("useradd", "--groups", "archy-recovery", "reader")
		n.MustRun("useradd", "outsider")
		n.crash()

		// Wait as docs/health-monitor.md does.
		n.MustRun("timeout", "60", "sh", "-c", "until curl --silent --unix-socket "+n.socket()+
			` http://localhost/v1/status | grep --quiet '"recoveryComplete":true'; do sleep 1; done`)
		for _, who := range []string{"root", "reader"} {
			ask := func(method, path string) string {
				n.t.Helper()
				return n.answered("200", as(who, "asks-"+who, n.curl(method, path)))
			}
			var st control.Status
			if err := json.Unmarshal([]byte(ask("GET", "/v1/status")), &st); err != nil || !st.RecoveryComplete || states(st)["sql"] != recover.RowUp {
				n.t.Errorf("%s: status %+v, %v", who, st, err)
			}
			if metrics := ask("GET", "/metrics"); !strings.Contains(metrics, fmt.Sprintf("archy_recovery_complete{uid=\"%d\"} 1\n", n.uid)) {
				n.t.Errorf("%s: metrics are\n%s", who, metrics)
			}
			var r recover.Report
			if err := json.Unmarshal([]byte(ask("GET", "/v1/recoveries/last")), &r); err != nil || r.Verdict.Ending != recover.HostCrashed {
				n.t.Errorf("%s: the last recovery is %+v, %v", who, r, err)
			}
			for _, path := range []string{"/v1/recoveries", "/v1/plan", "/v1/user-stopped", "/v1/quarantine"} {
				ask("GET", path)
			}
		}

		owner := "root"
		if n.uid != 0 {
			owner = fmt.Sprint(n.uid)
		}
		for _, who := range []string{"root", owner} {
			n.answered("200", as(who, "changes", n.curl("PUT", "/v1/user-stopped/lnd")))
			if list, err := n.ReadFile(n.data("user-stopped.json")); err != nil || !strings.Contains(list, `"lnd"`) {
				n.t.Errorf("by %s: the list is %q, %v", who, list, err)
			}
			n.answered("200", as(who, "changes", n.curl("DELETE", "/v1/user-stopped/lnd")))
			n.answered("200", as(who, "changes", n.curl("POST", "/v1/snapshot")))
		}
		n.answered("503", n.locked(n.curl("PUT", "/v1/user-stopped/lnd")))

		// Who is not of the group does not get in at all (curl's 7), and who is
		// may change nothing.
		if out, err := n.Run(as("outsider", "outside", n.curl("GET", "/v1/status"))...); err == nil || !strings.Contains(err.Error(), "exit status 7") {
			n.t.Errorf("someone else got %q, %v", out, err)
		}
		for _, change := range []string{"PUT /v1/user-stopped/sql", "DELETE /v1/user-stopped/sql", "DELETE /v1/quarantine/sql", "POST /v1/snapshot"} {
			method, path, _ := strings.Cut(change, " ")
			body := n.answered("403", as("reader", "refused-one", n.curl(method, path)))
			if !strings.Contains(body, "only root and uid") {
				n.t.Errorf("%s: refused with %s", change, body)
			}
			n.refused(change)
		}
		n.fieldsAreDocumented()
	})
}

// locked has a program hold the list's lock while a command runs.
func (n *node) locked(command []string) []string {
	return append([]string{"flock", n.data("user-stopped.json.lock")}, command...)
}

// refused waits for the entry that says who was refused what.
func (n *node) refused(change string) {
	n.t.Helper()
	var entry map[string]any
	n.WaitFor(10*time.Second, "the entry of the refusal", func() bool {
		lines := strings.Split(strings.TrimSpace(n.Journal("-b", "-o", "json", "MESSAGE_ID="+recover.MsgRefused)), "\n")
		entry = nil
		return json.Unmarshal([]byte(lines[len(lines)-1]), &entry) == nil && entry["REQUEST"] == change
	})
	// The sandbox maps no users but root and its own, and hides the process of
	// others: systemd tells of what unit it is.
	if pid := fmt.Sprint(entry["PEER_PID"]); entry["PEER_UID"] != "65534" || pid == "0" || pid == "1" {
		n.t.Errorf("PEER_UID=%v PEER_PID=%s", entry["PEER_UID"], pid)
	}
	if unit := entry["PEER_UNIT"]; unit != "refused-one.service" {
		n.t.Errorf("PEER_UNIT=%v", unit)
	}
}

// fieldsAreDocumented holds the entries that are really there against
// docs/journal.md.
func (n *node) fieldsAreDocumented() {
	n.t.Helper()
	text, err := os.ReadFile("../../docs/journal.md")
	if err != nil {
		n.t.Fatal(err)
	}
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| \\w+ \\| `([0-9a-f]{32})` \\|[^|]*\\|([^|]*)\\|").FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = m[2]
	}
	seen := map[any]bool{}
	for line := range strings.Lines(n.Journal("-o", "json", "_COMM=archy-recovery")) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) != nil {
			continue
		}
		id, _ := entry["MESSAGE_ID"].(string)
		fields, ours := documented[id]
		if !ours {
			continue
		}
		seen[id] = true
		for field := range entry {
			standard := strings.HasPrefix(field, "_") || strings.HasPrefix(field, "SYSLOG_") || strings.HasPrefix(field, "CODE_")
			if !standard && field != "MESSAGE" && field != "MESSAGE_ID" && field != "PRIORITY" && field != "TID" &&
				!strings.Contains(fields, "`"+field+"`") {
				n.t.Errorf("MESSAGE_ID=%s has the field %s, which docs/journal.md does not list", id, field)
			}
		}
	}
	if len(seen) < 6 {
		n.t.Errorf("only %d of our messages were found", len(seen))
	}
}
