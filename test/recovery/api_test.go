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

// socket returns the path of the instance's control socket.
func (n *node) socket() string {
	if n.uid == 0 {
		return "/run/archy-recovery/control.sock"
	}
	return fmt.Sprintf("/run/archy-recovery/%d.sock", n.uid)
}

// curl returns a command that makes a request. The last line of its output is the
// status code.
func (n *node) curl(method, path string, more ...string) []string {
	return append([]string{"curl", "--silent", "--max-time", "20", "--write-out", `\n%{http_code}`, "--request", method,
		"--unix-socket", n.socket(), "http://localhost" + path}, more...)
}

// as returns a command that runs a command as a user, in its own unit.
func as(user, unit string, command []string) []string {
	return append([]string{"systemd-run", "--quiet", "--wait", "--pipe", "--uid=" + user, "--unit=" + unit}, command...)
}

// wantAnswer checks the status code of a curl command, and returns the body.
func (n *node) wantAnswer(code string, command []string) string {
	n.t.Helper()
	out, err := n.Run(command...)
	i := strings.LastIndexByte(out, '\n')
	if i < 0 || strings.TrimSpace(out[i:]) != code {
		n.t.Errorf("%s: got %q, %v, want %s", strings.Join(command, " "), out, err, code)
	}
	return out[:max(i, 0)]
}

// All requests of the API work with curl, for root and for the instance's user. A
// member of the group may only read. Another user cannot connect.
func TestAPIWithCurl(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.quadlet("sql", 0, "", "")
		n.user.Systemctl("start", "sql")
		n.enable()
		n.waitSaved("sql")
		n.MustRun("useradd", "--groups", "archy-recovery", "reader")
		n.MustRun("useradd", "outsider")
		n.crash()

		// This is the wait of docs/health-monitor.md.
		n.MustRun("timeout", "60", "sh", "-c", "until curl --silent --unix-socket "+n.socket()+
			` http://localhost/v1/status | grep --quiet '"recoveryComplete":true'; do sleep 1; done`)
		for _, user := range []string{"root", "reader"} {
			ask := func(method, path string) string {
				n.t.Helper()
				return n.wantAnswer("200", as(user, "asks-"+user, n.curl(method, path)))
			}
			var st control.Status
			err := json.Unmarshal([]byte(ask("GET", "/v1/status")), &st)
			if err != nil || !st.RecoveryComplete || states(st)["sql"] != recover.RowUp {
				n.t.Errorf("%s: status %+v, %v", user, st, err)
			}
			complete := fmt.Sprintf("archy_recovery_complete{uid=\"%d\"} 1\n", n.uid)
			if metrics := ask("GET", "/metrics"); !strings.Contains(metrics, complete) {
				n.t.Errorf("%s: the metrics are\n%s", user, metrics)
			}
			var r recover.Report
			err = json.Unmarshal([]byte(ask("GET", "/v1/recoveries/last")), &r)
			if err != nil || r.Verdict.Ending != recover.HostCrashed {
				n.t.Errorf("%s: the last recovery is %+v, %v", user, r, err)
			}
			for _, path := range []string{"/v1/recoveries", "/v1/plan", "/v1/user-stopped", "/v1/quarantine"} {
				ask("GET", path)
			}
			if plot := ask("GET", "/v1/recoveries/current/plot"); !strings.Contains(plot, ">sql</text>") {
				n.t.Errorf("%s: the plot is %.500s", user, plot)
			}
			var listed control.Boots
			err = json.Unmarshal([]byte(ask("GET", "/v1/boots")), &listed)
			if last := len(listed.Boots) - 1; err != nil || last < 1 || listed.Boots[last].Index != 0 ||
				listed.Boots[last-1].Cause != recover.CausePowerLoss || listed.Boots[last-1].Recovery == nil {
				n.t.Errorf("%s: the boots are %+v, %v", user, listed, err)
			}
		}

		owner := "root"
		if n.uid != 0 {
			owner = fmt.Sprint(n.uid)
		}
		for _, user := range []string{"root", owner} {
			n.wantAnswer("200", as(user, "changes", n.curl("PUT", "/v1/user-stopped/lnd")))
			list, err := n.ReadFile(n.dataFile("user-stopped.json"))
			if err != nil || !strings.Contains(list, `"lnd"`) {
				n.t.Errorf("by %s: the list is %q, %v", user, list, err)
			}
			n.wantAnswer("200", as(user, "changes", n.curl("DELETE", "/v1/user-stopped/lnd")))
			n.wantAnswer("200", as(user, "changes", n.curl("POST", "/v1/snapshot")))
		}
		n.wantAnswer("503", n.withLock(n.curl("PUT", "/v1/user-stopped/lnd")))

		// A user outside of the group cannot connect (curl's exit status 7). A member
		// of the group may change nothing.
		out, err := n.Run(as("outsider", "outside", n.curl("GET", "/v1/status"))...)
		if err == nil || !strings.Contains(err.Error(), "exit status 7") {
			n.t.Errorf("a user outside of the group got %q, %v", out, err)
		}
		for _, change := range []string{
			"PUT /v1/user-stopped/sql", "DELETE /v1/user-stopped/sql", "DELETE /v1/quarantine/sql", "POST /v1/snapshot",
		} {
			method, path, _ := strings.Cut(change, " ")
			body := n.wantAnswer("403", as("reader", "refused-one", n.curl(method, path)))
			if !strings.Contains(body, "only root and uid") {
				n.t.Errorf("%s: the refusal says %s", change, body)
			}
			n.wantRefusal(change)
		}
		n.wantDocumentedFields()
	})
}

// withLock returns a command that holds the list's lock while a command runs.
func (n *node) withLock(command []string) []string {
	return append([]string{"flock", n.dataFile("user-stopped.json.lock")}, command...)
}

// wantRefusal waits for the journal entry of a refused request, and checks that it
// names the peer.
func (n *node) wantRefusal(change string) {
	n.t.Helper()
	var entry map[string]any
	n.WaitFor(10*time.Second, "the entry of the refusal", func() bool {
		entries := n.Journal("-b", "-o", "json", "MESSAGE_ID="+recover.MsgRefused)
		lines := strings.Split(strings.TrimSpace(entries), "\n")
		entry = nil
		return json.Unmarshal([]byte(lines[len(lines)-1]), &entry) == nil && entry["REQUEST"] == change
	})
	// The sandbox maps only root and the instance's user, and hides processes of
	// other users. systemd tells the daemon the unit of the process.
	if pid := fmt.Sprint(entry["PEER_PID"]); entry["PEER_UID"] != "65534" || pid == "0" || pid == "1" {
		n.t.Errorf("PEER_UID=%v PEER_PID=%s", entry["PEER_UID"], pid)
	}
	if unit := entry["PEER_UNIT"]; unit != "refused-one.service" {
		n.t.Errorf("PEER_UNIT=%v", unit)
	}
}

// wantDocumentedFields compares the fields of the daemon's journal entries with
// docs/journal.md.
func (n *node) wantDocumentedFields() {
	n.t.Helper()
	text, err := os.ReadFile("../../docs/journal.md")
	if err != nil {
		n.t.Fatal(err)
	}
	fieldsOf := map[string]string{} // by MESSAGE_ID
	row := regexp.MustCompile("(?m)^\\| \\w+ \\| `([0-9a-f]{32})` \\|[^|]*\\|([^|]*)\\|")
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		fieldsOf[m[1]] = m[2]
	}
	seen := map[any]bool{}
	for line := range strings.Lines(n.Journal("-o", "json", "_COMM=archy-recovery")) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) != nil {
			continue
		}
		id, _ := entry["MESSAGE_ID"].(string)
		fields, documented := fieldsOf[id]
		if !documented {
			continue
		}
		seen[id] = true
		for field := range entry {
			standard := strings.HasPrefix(field, "_") || strings.HasPrefix(field, "SYSLOG_") ||
				strings.HasPrefix(field, "CODE_")
			if !standard && field != "MESSAGE" && field != "MESSAGE_ID" && field != "PRIORITY" && field != "TID" &&
				!strings.Contains(fields, "`"+field+"`") {
				n.t.Errorf("MESSAGE_ID=%s has the field %s, which docs/journal.md does not list", id, field)
			}
		}
	}
	if len(seen) < 6 {
		n.t.Errorf("only %d kinds of the daemon's messages are in the journal", len(seen))
	}
}
