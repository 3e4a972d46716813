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

	"go.yaml.in/yaml/v3"
)

// What the documentation tells people to type is typed here as it stands there:
// a command that is not in a test's table, or the other way round, fails.

// A documented command, and the sentence or heading before it.
type documented struct{ sentence, command string }

// indented are the commands in a section of a Markdown file: its indented lines.
// One goes on after a pipe or a backslash.
func indented(t *testing.T, file, section string) (all []documented) {
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
	sentence, goesOn := "", false
	for line := range strings.Lines(body) {
		line = strings.TrimRight(line, "\n")
		command, is := strings.CutPrefix(line, "    ")
		switch {
		case is && goesOn:
			all[len(all)-1].command += "\n" + command
		case is:
			all = append(all, documented{sentence, command})
		case line != "":
			sentence = line
		}
		goesOn = is && (strings.HasSuffix(command, "|") || strings.HasSuffix(command, `\`))
	}
	return all
}

// typed runs documented commands in a shell and wants of each what the table
// says it prints, on either output; the table's keys begin the commands.
func (n *node) typed(who *machine.Shell, commands []documented, want map[string]string) {
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
			n.t.Errorf("%q is documented (%s); nobody says here what it prints", d.command, d.sentence)
			continue
		}
		used[key] = true
		ctx, cancel := context.WithTimeout(n.t.Context(), 60*time.Second)
		// In a process group of its own, so that what follows for ever ends.
		out, _ := who.RunContext(ctx, "bash", "-c", `cd "$HOME"; exec 2>&1; timeout 5 bash -c "$0"; echo "exit code $?"`, d.command)
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

// eventful is a node after a power cut, in which something of everything has
// happened: broken has failed, guilty is quarantined, a file is damaged, and
// someone was refused.
func (n *node) eventful() {
	n.t.Helper()
	n.quadlet("sql", 0, "", "")
	n.quadlet("broken", 2, "", "")
	n.user.Systemctl("start", "sql", "broken")
	n.plain("lnd", 2)
	n.plain("guilty", 2)
	n.enable()
	n.saved("broken", "sql", "guilty", "lnd")
	n.MustRun("useradd", "--groups", "archy-recovery", "reader")
	for range 2 { // two good generations
		n.cli("user-stopped", "add", "other")
		n.cli("user-stopped", "remove", "other")
	}
	died := n.BootID()
	n.PullPlug()
	n.quadlet("broken", 2, "Notify=true\nExec=-state /nowhere", "")
	struck := recover.Suspect{Name: "guilty", Strikes: 1, BootID: "0123456789abcdef0123456789abcdef", Since: time.Now()}
	for file, content := range map[string]any{
		"quarantine.json": recover.Quarantine{struck}, "in-flight.json": recover.InFlight{BootID: died, Names: []string{"guilty"}},
	} {
		text, err := json.Marshal(content)
		if err != nil {
			n.t.Fatal(err)
		}
		n.WriteFile(n.data(file), string(text), 0o600, n.uid)
	}
	n.WriteFile(n.data("user-stopped.json"), `["oth`, 0o600, n.uid)
	n.Boot()
	n.wait()
	n.answered("403", as("reader", "refused-one", n.curl("PUT", "/v1/user-stopped/lnd")))
	n.refused("PUT /v1/user-stopped/lnd")
}

// Each one-liner of docs/journal.md answers its question.
func TestTheOneLinersOfTheJournal(t *testing.T) {
	both(t, "RetryPauseSec=1\n", func(n *node) {
		n.eventful()
		n.typed(n.As(0), indented(n.t, "docs/journal.md", "## One-liners"), map[string]string{
			"journalctl -b -o cat":                                             "verdict=host-crash.*cause=power-loss",
			"journalctl -n 10 -o verbose":                                      "VERDICT=clean-stop.*VERDICT=host-crash",
			"journalctl -n 1 --cursor":                                         `^\w+ \d+ [\d:]+ archy [^\n]*\nexit code 0\n$`,
			"journalctl --since yesterday":                                     "not recovered container=broken",
			"journalctl -b MESSAGE_ID=272798475b":                              "start failed, to be tried once more container=broken.*not recovered container=broken",
			"journalctl -u archy-recovery -u 'archy-recovery@*' CONTAINER=lnd": "up container=lnd",
			"journalctl -b -o json":                                            `(^|\n)lnd\t[\d.]+m?s\n`,
			"journalctl -b MESSAGE_ID=cb5385ad6":                               `recovery complete with 1 failed[^\n]*duration=`,
			"journalctl MESSAGE_ID=91fdb762a":                                  "container=guilty",
			"journalctl MESSAGE_ID=b442b2b7f":                                  `user-stopped\.json`,
			"journalctl MESSAGE_ID=5d14cf65a":                                  `request="PUT /v1/user-stopped/lnd".*peer_unit=refused-one\.service`,
			"journalctl -b -p warning -x":                                      "Subject: How the last run ended.*Subject: A container was not recovered: broken",
		})
		// A file that is damaged, and nothing else, is what that one-liner finds.
		for line := range strings.Lines(n.Journal("-o", "cat", "MESSAGE_ID="+recover.MsgStateDamaged)) {
			if !strings.Contains(line, ".json") {
				n.t.Errorf("no word of a file: %s", line)
			}
		}
	})
}

// The README's commands and the man page's examples, typed by the user whose
// containers they are.
func TestTheCommandsOfTheReadme(t *testing.T) {
	both(t, "RetryPauseSec=1\n", func(n *node) {
		n.eventful()
		owner := n.user
		n.typed(owner, asked(n, "README.md", "## Use", "archy-recovery "), map[string]string{
			"archy-recovery status  ":             "ready, complete with 1 failed: 2 of 3.*Quarantined: guilty.*broken +failed.*exit code 0",
			"archy-recovery status --follow":      "ready, complete with 1 failed.*exit code 124",
			"archy-recovery wait --timeout 5m":    "complete with 1 failed: 2 of 3 containers run, 1 quarantined\nexit code 3",
			"archy-recovery snapshot":             `^\d containers, saved [^\n]*\nexit code 0`,
			"archy-recovery user-stopped add":     "^exit code 0",
			"archy-recovery user-stopped remove":  "^exit code 0",
			"archy-recovery user-stopped list":    "guilty\nexit code 0",
			"archy-recovery quarantine list":      "guilty +quarantined +2.*exit code 0",
			"archy-recovery quarantine release":   "^guilty is released; it is not started now\nexit code 0",
			"archy-recovery plan":                 "If the machine died now.*tier 0: 1.*sql.*Critical path.*exit code 0",
			"archy-recovery report  ":             "broken +2 +broken.service +2 .*failed.*The last run ended: host-crash, cause power-loss.*exit code 0",
			"archy-recovery report --list":        "ID.*1 .*clean-stop.*2 .*host-crash +power-loss.*1 failed.*exit code 0",
			"archy-recovery report --html > page": "^exit code 0",
			"archy-recovery plot > recovery.svg":  "^exit code 0",
			"archy-recovery blame":                "broken \\(failed, 2 tries\\).*exit code 0",
			"archy-recovery boots":                "power-loss.*running.*exit code 0",
			"archy-recovery config":               `50-test.conf:3\nRetryPauseSec=1s.*exit code 0`,
			"archy-recovery version":              `^archy-recovery \d.*exit code 0`,
			"archy-recovery completion bash":      "^# bash completion.*exit code 0",
		})
		n.typed(owner, asked(n, "README.md", "## Use", "curl "), map[string]string{
			"curl --unix-socket " + n.socket() + " http://localhost/v1/status":                  `"recoveryComplete":true`,
			"curl --no-buffer --unix-socket " + n.socket() + " http://localhost/v1/events":      "event: status\ndata: {.*exit code 124",
			"curl --unix-socket " + n.socket() + " http://localhost/v1/plan":                    `"batches":\[`,
			"curl --unix-socket " + n.socket() + " http://localhost/v1/recoveries/last":         `"ending":"host-crash"`,
			"curl --unix-socket " + n.socket() + " http://localhost/v1/user-stopped":            `"names":\[`,
			"curl --unix-socket " + n.socket() + " -X PUT http://localhost/v1/user-stopped/lnd": `"names":\["lnd"`,
			"curl --unix-socket " + n.socket() + " -X POST http://localhost/v1/snapshot":        `"timestamp":`,
		})
		for file, begins := range map[string]string{"page.html": "<!DOCTYPE html>", "recovery.svg": "<svg "} {
			if text := owner.MustRun("sh", "-c", "cat ~/"+file); !strings.HasPrefix(text, begins) {
				n.t.Errorf("%s begins with %.40q", file, text)
			}
		}
		n.typed(n.As(0), asked(n, "docs/man/archy-recovery.1.md", "# EXAMPLES", ""), map[string]string{
			"archy-recovery --uid 1000 wait":           "exit code [35]\n$", // and so && does not go on
			"archy-recovery user-stopped add lnd":      "exit code [05]\n$",
			"archy-recovery plot > recovery.svg":       "exit code [05]\n$",
			"archy-recovery status --json | jq -r '.c": map[bool]string{true: "^broken\n", false: "did you mean --uid 1000"}[n.uid == 0],
		})
		for words, want := range map[string]string{`user-stopped add ""`: "sql", `user-stopped remove ""`: "lnd", `report ""`: "2", `sta`: "status"} {
			if n.uid != 0 {
				words = "--uid 1000 " + words
			}
			if got := n.MustRun("bash", "-c", completes, words); !strings.Contains(got, want+"\n") && !strings.Contains(got, want+" ") {
				n.t.Errorf("bash completes %s with %q, not with %s", words, got, want)
			}
		}
	})
}

// completes asks the installed script as bash does when someone types Tab. The
// two functions are those of the package bash-completion that it uses.
const completes = `
_get_comp_words_by_ref() { words=("${COMP_WORDS[@]}") cword=$COMP_CWORD cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}; }
__ltrim_colon_completions() { :; }
. /usr/share/bash-completion/completions/archy-recovery
eval "COMP_WORDS=(archy-recovery $0)"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9 COMP_LINE="${COMP_WORDS[*]}"
COMP_POINT=${#COMP_LINE}
__start_archy-recovery
printf '%s\n' "${COMPREPLY[@]}"
`

// asked are the documented commands that begin with a word, for this node: what
// is written for uid 1000 or for NAME is meant for others, too.
func asked(n *node, file, section, word string) (all []documented) {
	for _, d := range indented(n.t, file, section) {
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

// unitFiles writes the files that a document shows: indented blocks that begin
// with a comment of the file's path.
func (n *node) unitFiles(file, section string) (paths []string) {
	n.t.Helper()
	content := map[string]string{}
	for _, d := range indented(n.t, file, section) {
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

// docs/metrics.md: the timer writes what node_exporter reads, and each metric
// that an alert rule names is in it.
func TestTheMetricsForPrometheus(t *testing.T) {
	t.Parallel()
	n := newNode(t, machine.User, "RetryPauseSec=1\n")
	n.eventful()
	n.MustRun("mkdir", "-p", "/var/lib/prometheus/node-exporter")
	if paths := n.unitFiles("docs/metrics.md", "## To Prometheus"); len(paths) != 2 {
		t.Fatalf("files are %q", paths)
	}
	n.MustRun("systemctl", "daemon-reload")
	n.MustRun("systemctl", "enable", "--now", "archy-recovery-metrics.timer")
	var text string
	n.WaitFor(20*time.Second, "the file of the timer", func() (there bool) {
		var err error
		text, err = n.ReadFile("/var/lib/prometheus/node-exporter/archy-recovery-1000.prom")
		return err == nil
	})
	doc, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(doc), "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(block))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil || len(file.Groups) != 1 || len(file.Groups[0].Rules) == 0 {
		t.Fatalf("the rules are %+v, %v", file, err)
	}
	for _, rule := range file.Groups[0].Rules {
		names := regexp.MustCompile(`archy_recovery_\w+`).FindAllString(rule.Expr, -1)
		if len(names) == 0 {
			t.Errorf("%s: %s names no metric", rule.Alert, rule.Expr)
		}
		for _, name := range names {
			if !strings.Contains(text, "\n"+name+"{") {
				t.Errorf("%s: there is no %s in\n%s", rule.Alert, name, text)
			}
		}
	}
	if !strings.Contains(text, `archy_recovery_container_failed{uid="1000",container="broken",tier="2"} 1`) {
		t.Errorf("broken is not among the failed:\n%s", text)
	}
}

// docs/health-monitor.md: the drop-in, the shell's ways to ask, and the program
// in Rust, where there is a compiler: it waits, and starts after recovery.
func TestTheHealthMonitor(t *testing.T) {
	t.Parallel()
	n := newNode(t, machine.User, "")
	n.quadlet("sql", 0, "", "")
	n.quadlet("slow", 1, "", "")
	n.user.Systemctl("start", "sql", "slow")
	n.enable()
	n.saved("sql", "slow")
	n.WriteFile("/usr/local/bin/monitor", "#!/bin/sh\necho begins\n", 0o755, 0)
	program := rustExample(t)
	if program != "" {
		n.WriteFile("/usr/local/bin/monitor", program, 0o755, 0)
	}
	n.WriteFile("/etc/systemd/system/monitor.service", "[Service]\nExecStart=/usr/local/bin/monitor\nType=exec\nRemainAfterExit=yes\n[Install]\nWantedBy=multi-user.target\n", 0o644, 0)
	if paths := n.unitFiles("docs/health-monitor.md", "## Start when recovery is complete"); len(paths) != 1 {
		t.Fatalf("files are %q", paths)
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
	said := n.MustRun(as("reader", "asks", []string{"sh", "-c", "/usr/local/bin/monitor 2>&1"})...)
	if program != "" {
		st, err := n.status()
		if err != nil || !st.RecoveryComplete {
			t.Errorf("the program did not wait: %+v, %v", st, err)
		}
		if lines := strings.Count(said, " bytes\n"); lines < 2 {
			t.Errorf("the program shows no progress: %q", said)
		}
	}
	n.WaitBooted()
	n.wait()
	n.WaitFor(20*time.Second, "the monitor", func() bool { return n.Show("monitor", "ActiveState")["ActiveState"] == "active" })
	if ready, began := n.micros(n.As(0), n.unit(), "ActiveEnterTimestampMonotonic"), n.micros(n.As(0), "monitor", "ExecMainStartTimestampMonotonic"); began < ready {
		t.Errorf("the monitor began %d µs before READY", ready-began)
	}
	var shell []documented
	for _, d := range indented(t, "docs/health-monitor.md", "## Ask over the socket") {
		if strings.HasPrefix(d.command, "curl ") || strings.HasPrefix(d.command, "until ") || strings.HasPrefix(d.command, "archy-recovery ") {
			shell = append(shell, d)
		}
	}
	n.typed(n.As(0), shell, map[string]string{
		"curl --silent --unix-socket":  `"recoveryComplete":true.*exit code 0`,
		"until curl --silent":          "^exit code 0",
		"archy-recovery --uid 1000 wa": "^recovery complete: 2 containers run, 2 of them started\nexit code 0",
	})
}

// rustExample compiles the program of docs/health-monitor.md; it is "" where
// nothing compiles it.
func rustExample(t *testing.T) string {
	t.Helper()
	rustc, err := exec.LookPath("rustc")
	if err != nil {
		t.Log("the program in Rust is left out: ", err)
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
	// Static: the machine's C library is another one.
	if said, err := exec.Command(rustc, "--edition=2021", "-Dwarnings", "-Ctarget-feature=+crt-static", "-o", out, in).CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("rustc: %w\n%s", err, said))
	}
	program, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(program)
}
