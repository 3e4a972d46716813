package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover/diagnosis"
)

// failedStart is an attempt that a machine recorded, with what was written for it.
type failedStart struct {
	Facts   diagnosis.Facts `json:"facts"`
	Cause   string          `json:"cause"`
	From    string          `json:"from"`
	MainPID int             `json:"mainPID"`
	// Invocation is "" where the unit was no longer loaded when it was asked.
	Invocation string `json:"invocation"`
	uid        int
	entries    string
}

// recordedStarts are the attempts of the diagnosis package's testdata.
func recordedStarts(t *testing.T) map[string]failedStart {
	files, err := filepath.Glob("../recover/diagnosis/testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	all := map[string]failedStart{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, entries, _ := strings.Cut(string(text), "\n")
		f := failedStart{entries: entries}
		if err := json.Unmarshal([]byte(head), &f); err != nil {
			t.Fatal(err)
		}
		if f.Facts.Rootless {
			f.uid = 1000
		}
		if f.From == "machine" {
			all[strings.TrimSuffix(filepath.Base(file), ".json")] = f
		}
	}
	return all
}

// attempt is what is known of a recorded start beside its lines.
func (f failedStart) attempt(t *testing.T) diagnosis.Attempt {
	a := diagnosis.Attempt{
		Unit: f.Facts.Unit, Container: f.Facts.Container, MainPID: f.MainPID, InvocationID: f.Invocation,
	}
	for line := range strings.Lines(f.entries) {
		if a.InvocationID != "" {
			break
		}
		var e map[string]string
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e["UNIT"] == a.Unit && e["INVOCATION_ID"] != "" {
			a.InvocationID = e["INVOCATION_ID"]
		}
		if e["USER_UNIT"] == a.Unit && e["USER_INVOCATION_ID"] != "" {
			a.InvocationID = e["USER_INVOCATION_ID"]
		}
	}
	return a
}

// What real machines wrote of failed starts, with systemd 252 and 257, is found by
// the unit's invocation, and tells the cause.
func TestOutputOfRecordedStarts(t *testing.T) {
	starts := recordedStarts(t)
	for name, f := range starts {
		t.Run(name, func(t *testing.T) {
			a := f.attempt(t)
			if a.InvocationID == "" {
				t.Fatal("the recording has no invocation")
			}
			other := diagnosis.Attempt{Unit: "other.service", InvocationID: strings.Repeat("0", 32), Container: "other"}
			o := newOutput(f.uid, []diagnosis.Attempt{other, a})
			if err := o.read(strings.NewReader(f.entries), func() {}); err != nil {
				t.Fatal(err)
			}
			if got, _ := diagnosis.Explain(o.lines[1], f.Facts); got.ID != f.Cause {
				t.Errorf("the cause is %s, want %s", got.ID, f.Cause)
			}
			if len(o.lines[0]) > 0 {
				t.Errorf("another attempt has %d lines", len(o.lines[0]))
			}
		})
	}
}

const (
	inv    = "a9f3da5b35b74a9c90ca6ba1b6e0d3c2"
	lacks  = `"MESSAGE":"Error: no secret with name or id \"x\": no such secret"`
	failed = `"MESSAGE_ID":"d9b373ed55a64feb8242e02dbe79a49c","MESSAGE":"web.service: Failed with result 'exit-code'."`
)

var (
	rootsLine = `{"_SYSTEMD_INVOCATION_ID":"` + inv + `","_COMM":"podman","_TRANSPORT":"stdout","_UID":"0",` + lacks + `}`
	rootsEnd  = `{"INVOCATION_ID":"` + inv + `","_PID":"1","_UID":"0","_COMM":"systemd",` + failed + `}`
	usersLine = `{"_SYSTEMD_INVOCATION_ID":"` + inv + `","_COMM":"exe","_TRANSPORT":"stdout","_UID":"1000",` + lacks + `}`
	usersEnd  = `{"USER_INVOCATION_ID":"` + inv + `","_PID":"54","_UID":"1000","_COMM":"systemd",` + failed + `}`
)

// One journalctl follows the journal until the end of each unit is told, also if
// podman's line comes after that, and is ended then.
func TestOutputWaitsForLateLines(t *testing.T) {
	for name, c := range map[string]struct {
		uid            int
		script         string
		lines          int
		atLeast, under time.Duration
	}{
		"of root":   {0, "echo '" + rootsLine + "'; echo '" + rootsEnd + "'", 2, afterEnds, lateLines},
		"of a user": {1000, "echo '" + usersLine + "'; echo '" + usersEnd + "'", 2, afterEnds, lateLines},
		"the end comes later": {0, "echo '" + rootsLine + "'; sleep 0.5; echo '" + rootsEnd + "'",
			2, 500 * time.Millisecond, lateLines},
		"podman's line comes last": {0, "echo '" + rootsEnd + "'; echo '" + rootsLine + "'", 2, afterEnds, lateLines},
		"no end comes":             {0, "echo '" + rootsLine + "'", 1, lateLines, lateLines + 2*time.Second},
		"nothing comes":            {0, "true", 0, firstLine, firstLine + 2*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			r := journalctl(t, c.script+"; exec sleep 60")
			r.uid, r.limit = c.uid, 10*time.Second
			began := time.Now()
			got, err := r.Output(t.Context(), "b", []diagnosis.Attempt{{Unit: "web.service", InvocationID: inv}})
			if err != nil || len(got) != 1 || len(got[0]) != c.lines {
				t.Errorf("lines %+v, %v", got, err)
			}
			if took := time.Since(began); took < c.atLeast || took > c.under {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestOutputAsksOnce(t *testing.T) {
	asked := filepath.Join(t.TempDir(), "asked")
	r := journalctl(t, `echo "$*" >>`+asked+`; echo '`+rootsEnd+`'; exec sleep 60`)
	r.limit = 10 * time.Second
	if _, err := r.Output(t.Context(), "b", []diagnosis.Attempt{
		{InvocationID: inv, Unit: "web.service", MainPID: 77}, {Container: "db", ContainerID: "12ab"}, {Container: "app"},
	}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(asked)
	if err != nil {
		t.Fatal(err)
	}
	want := " _SYSTEMD_INVOCATION_ID=" + inv + " + INVOCATION_ID=" + inv + " _PID=1 + _PID=77 _UID=0 _TRANSPORT=stdout + "
	for _, want := range []string{
		want, "--follow --boot=b ", "CONTAINER_ID_FULL=12ab _UID=0", "PODMAN_ID=12ab",
		"CONTAINER_NAME=app _UID=0", "PODMAN_NAME=app", "SYSLOG_IDENTIFIER=web _UID=0 _TRANSPORT=stdout",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("journalctl was not asked for %q:\n%s", want, text)
		}
	}
	if n := strings.Count(string(text), "\n"); n != 1 {
		t.Errorf("journalctl was run %d times", n)
	}
	for _, none := range [][]diagnosis.Attempt{nil, {{}}} {
		if got, err := r.Output(t.Context(), "b", none); len(got) != len(none) || err != nil {
			t.Errorf("of %v: %v, %v", none, got, err)
		}
	}
}

func TestOutputOfAJournalctlThatFails(t *testing.T) {
	for name, script := range map[string]string{
		"fails":            "exit 1",
		"floods":           "exec yes '" + rootsLine + "'",
		"one endless line": "exec tr '\\000' x </dev/zero",
		"dies":             "echo '" + rootsLine + "'; kill -BUS $$",
	} {
		t.Run(name, func(t *testing.T) {
			r := journalctl(t, script)
			began := time.Now()
			got, _ := r.Output(t.Context(), "b", []diagnosis.Attempt{{InvocationID: inv}})
			if len(got) != 1 || len(got[0]) > linesKept {
				t.Errorf("%d lines", len(got[0]))
			}
			if took := time.Since(began); took > r.limit+lateLines+2*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// linesOf files entries under one attempt of a user.
func linesOf(t *testing.T, a diagnosis.Attempt, entries ...string) []diagnosis.Line {
	t.Helper()
	o := newOutput(1000, []diagnosis.Attempt{a})
	if err := o.read(strings.NewReader(strings.Join(entries, "\n")), func() {}); err != nil {
		t.Fatal(err)
	}
	return o.lines[0]
}

// Where podman has ended before journald looks, journald knows its PID and user
// only; and podman may be in a scope of its own. Recorded with systemd 257 and 252:
// `podman start` of a container that is missing.
func TestOutputOfPodmanOutsideOfItsUnit(t *testing.T) {
	const scope = `{"_COMM":"podman",` +
		`"_SYSTEMD_CGROUP":"/user.slice/user-1000.slice/user@1000.service/user.slice/podman-7779.scope",`
	const line = `{"_PID":"7779","_UID":"1000","_TRANSPORT":"stdout","SYSLOG_IDENTIFIER":"podman",` +
		`"__MONOTONIC_TIMESTAMP":"5000000","MESSAGE":"Error: no container with name or ID \"db\" found: no such container"}`
	for name, c := range map[string]struct {
		a    diagnosis.Attempt
		line string
		want int
	}{
		"by its PID": {
			diagnosis.Attempt{Unit: "container-db.service", MainPID: 7779, Since: 4 * time.Second}, line, 1},
		"by the unit that it names": {diagnosis.Attempt{Unit: "db.service"}, strings.Replace(line, `"podman"`, `"db"`, 1), 1},
		"by its own scope":          {diagnosis.Attempt{MainPID: 7779}, strings.Replace(line, `{`, scope, 1), 1},
		"of another's scope":        {diagnosis.Attempt{MainPID: 7778}, strings.Replace(line, `{`, scope, 1), 0},
		"by its unit": {diagnosis.Attempt{Unit: "web.service"},
			strings.Replace(line, `{`, `{"_COMM":"podman","_SYSTEMD_CGROUP":"/x/web.service",`+
				`"_SYSTEMD_USER_UNIT":"web.service",`, 1), 1},
		"of another start of its unit": {diagnosis.Attempt{Unit: "web.service"},
			strings.Replace(line, `{`, `{"_COMM":"podman","_SYSTEMD_USER_UNIT":"web.service",`+
				`"_SYSTEMD_INVOCATION_ID":"77",`, 1), 0},
		"of an earlier start": {
			diagnosis.Attempt{Unit: "container-db.service", MainPID: 7779, Since: 6 * time.Second}, line, 0},
		"of another process":          {diagnosis.Attempt{Unit: "container-db.service", MainPID: 1234}, line, 0},
		"of another user":             {diagnosis.Attempt{MainPID: 7779}, strings.Replace(line, `"1000"`, `"1001"`, 1), 0},
		"of a process that was known": {diagnosis.Attempt{MainPID: 7779}, strings.Replace(line, `{`, `{"_COMM":"sh",`, 1), 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := linesOf(t, c.a, c.line)
			if len(got) != c.want {
				t.Fatalf("%d lines, want %d", len(got), c.want)
			}
			if reason, ok := diagnosis.Explain(got, diagnosis.Facts{}); c.want > 0 && (!ok || reason.ID != "container-missing") {
				t.Errorf("the reason is %+v", reason)
			}
		})
	}
}

// Any user may write entries with any fields but those that begin with an
// underscore.
func TestForgedOutputIsNotTaken(t *testing.T) {
	a := diagnosis.Attempt{
		Unit: "web.service", InvocationID: inv, Container: "web", Since: time.Second, Until: 9 * time.Second,
	}
	printed := `{"CONTAINER_NAME":"web","CONTAINER_ID_FULL":"73d1","_COMM":"conmon","_UID":"1000",` +
		`"__MONOTONIC_TIMESTAMP":"5000000","MESSAGE":"hm"}`
	if got := linesOf(t, a, printed); len(got) != 1 || got[0].ContainerID != "73d1" {
		t.Errorf("what the container printed is %+v", got)
	}
	for name, entry := range map[string]string{
		"another user's container": strings.Replace(printed, `"1000"`, `"1001"`, 1),
		"another program":          strings.Replace(printed, `"conmon"`, `"logger"`, 1),
		"an earlier run":           strings.Replace(printed, `5000000`, `500000`, 1),
		"a later run":              strings.Replace(printed, `5000000`, `9500000`, 1),
		"another container":        strings.Replace(printed, `"web"`, `"web2"`, 1),
		"another user's manager":   strings.Replace(usersEnd, `"1000"`, `"1001"`, 1),
		"a program for a manager":  strings.Replace(usersEnd, `"systemd"`, `"logger"`, 1),
		"root's field":             strings.Replace(usersEnd, `"USER_INVOCATION_ID"`, `"INVOCATION_ID"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			if got := linesOf(t, a, entry); len(got) > 0 {
				t.Errorf("taken: %+v", got)
			}
		})
	}
}

func TestOutputIsBounded(t *testing.T) {
	var text bytes.Buffer
	text.WriteString(`{"_SYSTEMD_INVOCATION_ID":"` + inv + `","_COMM":"podman","_UID":"1000",` +
		`"PODMAN_EVENT":"start","MESSAGE":"start"}` + "\n")
	for i := range 1000 {
		fmt.Fprintf(&text, `{"_SYSTEMD_INVOCATION_ID":"%s","MESSAGE":"%d %s"}`+"\n", inv, i, strings.Repeat("x", 20000))
	}
	got := linesOf(t, diagnosis.Attempt{InvocationID: inv}, text.String())
	if len(got) != linesKept || got[0].Event != "start" || !strings.HasPrefix(got[linesKept-1].Message, "999 ") {
		t.Errorf("%d lines, from %.20q to %.20q", len(got), got[0].Message, got[len(got)-1].Message)
	}
	for _, l := range got {
		if len(l.Message) > diagnosis.MaxMessage {
			t.Errorf("a message has %d bytes", len(l.Message))
		}
	}
}
