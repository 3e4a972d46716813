package recovery

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// These tests run the commands of the documentation as they stand there. They fail
// if a documented command is not in a test's table, or the other way round.

// A documented command, and the sentence or heading before it.
type documented struct{ sentence, command string }

// documentedCommands returns the commands in a section of a Markdown file. They
// are its indented lines. A command continues after a pipe or a backslash.
func documentedCommands(t *testing.T, file, section string) (all []documented) {
	t.Helper()
	text, err := os.ReadFile("../../" + file)
	if err != nil {
		t.Fatal(err)
	}
	_, body, found := strings.Cut(string(text), "\n"+section+"\n")
	if !found {
		t.Fatalf("%s has no %q", file, section)
	}
	level := section[:strings.IndexByte(section, ' ')+1]
	body, _, _ = strings.Cut(body, "\n"+level)
	sentence, continues := "", false
	for line := range strings.Lines(body) {
		line = strings.TrimRight(line, "\n")
		command, is := strings.CutPrefix(line, "    ")
		switch {
		case is && continues:
			all[len(all)-1].command += "\n" + command
		case is:
			all = append(all, documented{sentence, command})
		case line != "":
			sentence = line
		}
		continues = is && (strings.HasSuffix(command, "|") || strings.HasSuffix(command, `\`))
	}
	return all
}

// runDocumented runs documented commands in a shell. It compares both outputs of
// each with a pattern of the table. A key of the table is the begin of a command.
func (n *node) runDocumented(sh *machine.Shell, commands []documented, want map[string]string) {
	n.t.Helper()
	used := map[string]bool{}
	for _, d := range commands {
		key := ""
		for k := range want {
			if strings.HasPrefix(d.command, k) && len(k) > len(key) {
				key = k
			}
		}
		if key == "" {
			n.t.Errorf("%q is documented (%s), and the test has no pattern for it", d.command, d.sentence)
			continue
		}
		used[key] = true
		ctx, cancel := context.WithTimeout(n.t.Context(), 60*time.Second)
		// timeout(1) ends the commands that follow events without an end.
		out, _ := sh.RunContext(ctx, "bash", "-c",
			`cd "$HOME"; exec 2>&1; timeout 5 bash -c "$0"; echo "exit code $?"`, d.command)
		cancel()
		if !regexp.MustCompile("(?s)" + want[key]).MatchString(out) {
			n.t.Errorf("%s\n$ %s\nprints\n%s\nwant %s", d.sentence, d.command, out, want[key])
		}
	}
	for k := range want {
		if !used[k] {
			n.t.Errorf("%q is no longer documented", k)
		}
	}
}

// makeEvents leaves the node after a power failure with one event of each kind. The
// container broken has failed, guilty is quarantined, a file was damaged, and a
// request was refused.
func (n *node) makeEvents() {
	n.t.Helper()
	n.quadlet("sql", 0, "", "")
	n.quadlet("broken", 2, "", "")
	n.user.Systemctl("start", "sql", "broken")
	n.plain("lnd", 2)
	n.plain("guilty", 2)
	n.enable()
	n.waitSaved("broken", "sql", "guilty", "lnd")
	n.MustRun("useradd", "--groups", "archy-recovery", "reader")
	for range 2 { // makes two good generations of the list
		n.cli("user-stopped", "add", "other")
		n.cli("user-stopped", "remove", "other")
	}
	died := n.BootID()
	n.PullPlug()
	n.quadlet("broken", 2, "Notify=true\nExec=-state /nowhere", "")
	suspect := recover.Suspect{
		Name: "guilty", Strikes: 2, BootID: "0123456789abcdef0123456789abcdef", Since: time.Now()}
	for file, content := range map[string]any{
		"quarantine.json": recover.Quarantine{suspect},
		"in-flight.json":  recover.InFlight{BootID: died, Names: []string{"guilty"}},
	} {
		text, err := json.Marshal(content)
		if err != nil {
			n.t.Fatal(err)
		}
		n.WriteFile(n.dataFile(file), string(text), 0o600, n.uid)
	}
	n.WriteFile(n.dataFile("user-stopped.json"), `["oth`, 0o600, n.uid)
	n.Boot()
	n.waitRecovered()
	n.wantAnswer("403", as("reader", "refused-one", n.curl("PUT", "/v1/user-stopped/lnd")))
	n.wantRefusal("PUT /v1/user-stopped/lnd")
}

// Each one-liner of docs/journal.md prints the answer to its question.
func TestDocsJournalOneLiners(t *testing.T) {
	onBothInstances(t, "RetryPauseSec=1\n", func(n *node) {
		n.makeEvents()
		commands := documentedCommands(n.t, "docs/journal.md", "## One-liners")
		// The cause is left out if the journal does not give it within 3 s.
		const exits2 = `(: its program ended with exit status 2[^\n]*)?`
		n.runDocumented(n.As(0), commands, map[string]string{
			"journalctl -b -o cat":         "verdict=host-crash.*cause=power-loss",
			"journalctl -n 10 -o verbose":  "VERDICT=clean-stop.*VERDICT=host-crash",
			"journalctl -n 1 --cursor":     `^\w+ \d+ [\d:]+ archy [^\n]*\nexit code 0\n$`,
			"journalctl --since yesterday": "not recovered" + exits2 + " container=broken",
			"journalctl -b MESSAGE_ID=272798475b": "start failed, to be tried once more" + exits2 + " container=broken" +
				".*not recovered" + exits2 + " container=broken",
			"journalctl -b MESSAGE_ID=90c0a13b8":                               "No entries", // fall_test.go has falls
			"journalctl -u archy-recovery -u 'archy-recovery@*' CONTAINER=lnd": "up container=lnd",
			"journalctl -b -o json":                                            `(^|\n)lnd\t[\d.]+m?s\n`,
			"journalctl -b MESSAGE_ID=cb5385ad6": `recovery complete with 2 not recovered` +
				`[^\n]*duration=`,
			"journalctl MESSAGE_ID=91fdb762a": "container=guilty",
			"journalctl MESSAGE_ID=b442b2b7f": `user-stopped\.json`,
			"journalctl MESSAGE_ID=5d14cf65a": `request="PUT /v1/user-stopped/lnd"` +
				`.*peer_unit=refused-one\.service`,
			"journalctl -b -p warning -x": "Subject: How the last run ended" +
				".*Subject: A container was not recovered: broken",
		})
		// The one-liner for damaged files finds nothing else.
		for line := range strings.Lines(n.Journal("-o", "cat", "MESSAGE_ID="+recover.MsgStateDamaged)) {
			if !strings.Contains(line, ".json") {
				n.t.Errorf("the entry names no file: %s", line)
			}
		}
	})
}

// The README's commands and the man page's examples work for the owner of the
// containers.
func TestDocsReadmeCommands(t *testing.T) {
	onBothInstances(t, "RetryPauseSec=1\n", func(n *node) {
		n.makeEvents()
		owner := n.user
		n.runDocumented(owner, documentedFor(n, "README.md", "## Use", "archy-recovery "), map[string]string{
			"archy-recovery status  ": "ready, 2 started, 2 run now\n.*Recovery: complete with 2 not recovered: 2 of 4" +
				".*Quarantined: guilty" +
				".*broken +failed.*exit code 0",
			"archy-recovery status --follow": "ready, 2 started, 2 run now\n.*Recovery: complete with 2 not recovered" +
				".*exit code 124",
			"archy-recovery wait --timeout 5m": "complete with 2 not recovered: 2 of 4 containers run; 1 failed, " +
				"1 quarantined\n.*broken failed: .*exit code 3",
			"archy-recovery snapshot":            `^\d containers, saved [^\n]*\nexit code 0`,
			"archy-recovery user-stopped add":    "^exit code 0",
			"archy-recovery user-stopped remove": "^exit code 0",
			"archy-recovery user-stopped list":   "guilty\nexit code 0",
			"archy-recovery quarantine list":     "guilty +quarantined +3.*exit code 0",
			"archy-recovery quarantine release":  "^guilty is released; it is not started now\nexit code 0",
			"archy-recovery plan":                "If the host crashed now.*tier 0: 1.*sql.*Critical path.*exit code 0",
			"archy-recovery report  ": "broken +2 +broken.service +\\d+ .*failed.*" +
				"The last run ended: host-crash, cause power-loss.*exit code 0",
			"archy-recovery report --list": "ID.*1 .*clean-stop.*2 .*host-crash +power-loss" +
				".*1 failed.*exit code 0",
			"archy-recovery report --html > page": "^exit code 0",
			"archy-recovery plot > recovery.svg":  "^exit code 0",
			"archy-recovery blame":                "broken \\(failed, \\d+ tries\\).*exit code 0",
			"archy-recovery boots":                "power-loss.*running.*exit code 0",
			"archy-recovery config":               `50-test.conf:3\nRetryPauseSec=1s.*exit code 0`,
			"archy-recovery on-incomplete":        "tell-me.*no such file.*exit code 1",
			"archy-recovery retry":                "^tried again now: broken\nexit code 0",
			"archy-recovery repair":               "^nothing that is down is known to be damaged\nexit code 0",
			"archy-recovery hold":                 "^held until [^\n]*\nexit code 0",
			"archy-recovery version":              `^archy-recovery \d.*exit code 0`,
			"archy-recovery completion bash":      "^# bash completion.*exit code 0",
		})
		curl := "curl --unix-socket " + n.socket()
		n.runDocumented(owner, documentedFor(n, "README.md", "## Use", "curl "), map[string]string{
			curl + " http://localhost/v1/status": `"recoveryComplete":true`,
			"curl --no-buffer --unix-socket " + n.socket() + " http://localhost/v1/events": "event: status\n" +
				"data: {.*exit code 124",
			curl + " http://localhost/v1/plan":                    `"batches":\[`,
			curl + " http://localhost/v1/recoveries/last":         `"ending":"host-crash"`,
			curl + " http://localhost/v1/recoveries/last/plot":    "<svg .*</svg>",
			curl + " http://localhost/v1/boots":                   `"cause":"power-loss"`,
			curl + " http://localhost/v1/user-stopped":            `"names":\[`,
			curl + " -X PUT http://localhost/v1/user-stopped/lnd": `"names":\["lnd"`,
			curl + " -X POST http://localhost/v1/snapshot":        `"timestamp":`,
		})
		for file, begins := range map[string]string{"page.html": "<!DOCTYPE html>", "recovery.svg": "<svg "} {
			if text := owner.MustRun("sh", "-c", "cat ~/"+file); !strings.HasPrefix(text, begins) {
				n.t.Errorf("%s begins with %.40q", file, text)
			}
		}
		n.runDocumented(n.As(0), documentedFor(n, "docs/man/archy-recovery.1.md", "# EXAMPLES", ""), map[string]string{
			"archy-recovery --uid 1000 wait":      "exit code [35]\n$", // so the command after && does not run
			"archy-recovery user-stopped add lnd": "exit code [05]\n$",
			"archy-recovery plot > recovery.svg":  "exit code [05]\n$",
			"archy-recovery status --json | jq -r '.c": map[bool]string{
				true: "^broken\n", false: "did you mean --uid 1000"}[n.uid == 0],
		})
		for words, want := range map[string]string{
			`user-stopped add ""`: "sql", `user-stopped remove ""`: "lnd", `report ""`: "2", `sta`: "status",
		} {
			if n.uid != 0 {
				words = "--uid 1000 " + words
			}
			got := n.MustRun("bash", "-c", completionScript, words)
			if !strings.Contains(got, want+"\n") && !strings.Contains(got, want+" ") {
				n.t.Errorf("bash completes %s with %q, not with %s", words, got, want)
			}
		}
	})
}

// completionScript calls the installed completion as bash does for the Tab key. Its
// two functions replace those of the package bash-completion.
const completionScript = `
_get_comp_words_by_ref() {
	words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
}
__ltrim_colon_completions() { :; }
. /usr/share/bash-completion/completions/archy-recovery
eval "COMP_WORDS=(archy-recovery $0)"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9 COMP_LINE="${COMP_WORDS[*]}"
COMP_POINT=${#COMP_LINE}
__start_archy-recovery
printf '%s\n' "${COMPREPLY[@]}"
`

// documentedFor returns the documented commands that begin with a word. It replaces
// the socket of uid 1000 and NAME by those of this node.
func documentedFor(n *node, file, section, word string) (all []documented) {
	for _, d := range documentedCommands(n.t, file, section) {
		if !strings.HasPrefix(d.command, word) {
			continue
		}
		if word == "curl " {
			d.command = strings.ReplaceAll(d.command, "/run/archy-recovery/1000.sock", n.socket())
		}
		d.command = strings.ReplaceAll(d.command, "quarantine release NAME", "quarantine release guilty")
		all = append(all, d)
	}
	return all
}

// unitFiles writes the files that a document shows, and returns their paths. Each
// is an indented block that begins with a comment with the file's path.
func (n *node) unitFiles(file, section string) (paths []string) {
	n.t.Helper()
	content := map[string]string{}
	for _, d := range documentedCommands(n.t, file, section) {
		for line := range strings.Lines(d.command) {
			line = strings.TrimRight(line, "\n")
			if path, is := strings.CutPrefix(line, "# /etc/"); is {
				paths = append(paths, "/etc/"+path)
			} else if len(paths) > 0 {
				content[paths[len(paths)-1]] += line + "\n"
			}
		}
	}
	for i, path := range paths {
		paths[i] = strings.ReplaceAll(path, "MONITOR", "monitor")
		n.WriteFile(paths[i], content[path], 0o644, 0)
	}
	return paths
}

// The timer of docs/metrics.md writes a file for node_exporter. It holds each
// metric that an alert rule names, but for those of Prometheus and node_exporter.
func TestDocsMetrics(t *testing.T) {
	t.Parallel()
	n := newNode(t, machine.User, "RetryPauseSec=1\n")
	n.makeEvents()
	n.MustRun("mkdir", "-p", "/var/lib/prometheus/node-exporter")
	// cd counts for the commands after it.
	var install []string
	for _, d := range documentedCommands(t, "docs/metrics.md", "## To Prometheus") {
		install = append(install, d.command)
	}
	n.MustRun("sh", "-ec", strings.Join(install, "\n"))
	var text string
	n.WaitFor(20*time.Second, "the file of the timer", func() bool {
		var err error
		text, err = n.ReadFile("/var/lib/prometheus/node-exporter/archy-recovery-1000.prom")
		return err == nil
	})
	rules, err := os.ReadFile("../../packaging/prometheus/archy-recovery.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`archy_recovery_\w+`).FindAllString(string(rules), -1)
	if len(names) == 0 {
		t.Error("the rules name no metric")
	}
	for _, name := range names {
		if !strings.Contains(text, "\n"+name+"{") {
			t.Errorf("there is no %s in\n%s", name, text)
		}
	}
	if !strings.Contains(text, `archy_recovery_container_failed{uid="1000",container="broken",tier="2"} 1`) {
		t.Errorf("the metrics do not say that broken has failed:\n%s", text)
	}
}

// The drop-in, the shell commands and the Rust program of docs/health-monitor.md
// work. The monitor starts after recovery, and the program waits for it. Without a
// Rust compiler the program is skipped.
func TestDocsHealthMonitor(t *testing.T) {
	t.Parallel()
	n := newNode(t, machine.User, "")
	n.quadlet("sql", 0, "", "")
	n.quadlet("slow", 1, "", "")
	n.user.Systemctl("start", "sql", "slow")
	n.enable()
	n.waitSaved("sql", "slow")
	n.WriteFile("/usr/local/bin/monitor", "#!/bin/sh\necho begins\n", 0o755, 0)
	program := rustExample(t)
	if program != "" {
		n.WriteFile("/usr/local/bin/monitor", program, 0o755, 0)
	}
	n.WriteFile("/etc/systemd/system/monitor.service", "[Service]\nExecStart=/usr/local/bin/monitor\nType=exec\n"+
		"RemainAfterExit=yes\n[Install]\nWantedBy=multi-user.target\n", 0o644, 0)
	if paths := n.unitFiles("docs/health-monitor.md", "## Start when recovery is complete"); len(paths) != 1 {
		t.Fatalf("the files are %q", paths)
	}
	n.MustRun("useradd", "--groups", "archy-recovery", "reader")
	n.MustRun("systemctl", "enable", "monitor")
	n.PullPlug()
	n.quadlet("slow", 1, "Notify=true\nExec=-ready-after 4s", "")
	n.BootNoWait()
	n.WaitFor(30*time.Second, "the middle of recovery", func() bool {
		st, err := n.status()
		return err == nil && states(st)["slow"] == recover.RowStarting
	})
	output := n.MustRun(as("reader", "asks", []string{"sh", "-c", "/usr/local/bin/monitor 2>&1"})...)
	if program != "" {
		st, err := n.status()
		if err != nil || !st.RecoveryComplete {
			t.Errorf("the program ended before recovery was complete: %+v, %v", st, err)
		}
		if lines := strings.Count(output, " bytes\n"); lines < 2 {
			t.Errorf("the program shows no progress: %q", output)
		}
	}
	n.WaitBooted()
	n.waitRecovered()
	n.WaitFor(20*time.Second, "the monitor", func() bool {
		return n.Show("monitor", "ActiveState")["ActiveState"] == "active"
	})
	n.wantMonitorAfterReady()
	var shell []documented
	for _, d := range documentedCommands(t, "docs/health-monitor.md", "## Ask over the socket") {
		if strings.HasPrefix(d.command, "curl ") || strings.HasPrefix(d.command, "until ") ||
			strings.HasPrefix(d.command, "archy-recovery ") {
			shell = append(shell, d)
		}
	}
	n.runDocumented(n.As(0), shell, map[string]string{
		"curl --silent --unix-socket":  `"recoveryComplete":true.*exit code 0`,
		"until curl --silent":          "^exit code 0",
		"archy-recovery --uid 1000 wa": "^recovery complete: 2 containers run, 2 of them started\nexit code 0",
	})
}

// rustExample compiles the program of docs/health-monitor.md. It returns "" if the
// host has no compiler.
func rustExample(t *testing.T) string {
	t.Helper()
	rustc, err := exec.LookPath("rustc")
	if err != nil {
		t.Log("the Rust program is skipped: ", err)
		return ""
	}
	text, err := os.ReadFile("../../docs/health-monitor.md")
	if err != nil {
		t.Fatal(err)
	}
	_, source, _ := strings.Cut(string(text), "```rust\n")
	source, _, _ = strings.Cut(source, "```")
	dir := t.TempDir()
	in, out := filepath.Join(dir, "monitor.rs"), filepath.Join(dir, "monitor")
	if err := os.WriteFile(in, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	// The program is static, because the machine has another C library.
	cmd := exec.Command(rustc, "--edition=2021", "-Dwarnings", "-Ctarget-feature=+crt-static", "-o", out, in)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("rustc: %w\n%s", err, output))
	}
	program, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(program)
}
