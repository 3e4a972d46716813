package diagnosis

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// A recording is an attempt as a file of testdata holds it: the first line says
// what is known and expected, each other line is a journal entry. Those of
// "source" were made by hand from podman's source of that version.
type recording struct {
	name    string
	Podman  string            `json:"podman"`
	Systemd string            `json:"systemd"`
	From    string            `json:"from"` // "machine", or "source" for the files named in Source
	Source  string            `json:"source"`
	Facts   Facts             `json:"facts"`
	Cause   string            `json:"cause"`
	Names   map[string]string `json:"names"`
	lines   []Line
}

func recordings(t testing.TB) (all []recording) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		head, entries, _ := strings.Cut(string(text), "\n")
		r := recording{name: strings.TrimSuffix(filepath.Base(file), ".json")}
		if err := json.Unmarshal([]byte(head), &r); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for line := range strings.Lines(entries) {
			var e map[string]string
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%s: %v in %s", file, err, line)
			}
			r.lines = append(r.lines, Line{
				Comm: e["_COMM"], Exe: e["_EXE"], Transport: e["_TRANSPORT"], Cgroup: e["_SYSTEMD_CGROUP"],
				ContainerID: e["CONTAINER_ID_FULL"], Event: e["PODMAN_EVENT"],
				Container: e["CONTAINER_NAME"] + e["PODMAN_NAME"], Message: e["MESSAGE"]})
		}
		all = append(all, r)
	}
	return all
}

func TestRecordings(t *testing.T) {
	for _, r := range recordings(t) {
		t.Run(r.name, func(t *testing.T) {
			got, known := Explain(r.lines, r.Facts)
			if got.ID != r.Cause || known != (r.Cause != Unknown) {
				t.Errorf("the cause is %q (known: %v), want %q; %+v", got.ID, known, r.Cause, got)
			}
			if diff := cmp.Diff(r.Names, got.Names); len(r.Names) > 0 && diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
			wantReadable(t, got)
			if len(Quote(r.lines)) == 0 {
				t.Error("nothing is quoted")
			}
			t.Logf("%s. %s", got.Sentence, got.Advice)
		})
	}
}

// wantReadable checks that a reason can be shown to a person.
func wantReadable(t testing.TB, r Reason) {
	t.Helper()
	for what, text := range map[string]string{"sentence": r.Sentence, "advice": r.Advice, "quote": r.Quote} {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("the %s is not fit for a terminal: %q", what, text)
		}
		if regexp.MustCompile(`\{[a-z]+(\|[^{}]*)?\}`).MatchString(text) &&
			!strings.Contains(r.Quote, "{") && what != "quote" {
			t.Errorf("the %s has an empty place: %q", what, text)
		}
		if len(text) > 3*maxText {
			t.Errorf("the %s has %d bytes", what, len(text))
		}
	}
	if r.ID != Unknown && (r.Sentence == "" || r.Advice == "") {
		t.Errorf("%s says nothing: %+v", r.ID, r)
	}
}

const (
	unitCgroup    = "/system.slice/web.service"
	payloadCgroup = unitCgroup + "/libpod-payload-73d1d9e475a9938573739b67d5c0eb253a1a17cb4aa90e30c94b0c68276e4dc6"
	scopeCgroup   = "/machine.slice/" +
		"libpod-73d1d9e475a9938573739b67d5c0eb253a1a17cb4aa90e30c94b0c68276e4dc6.scope/container"
	lacksSecret = `Error: no secret with name or id "forged": no such secret`
)

// A container may print podman's words, and may name itself podman; neither is
// taken for podman's reason.
func TestContainersAreNotBelieved(t *testing.T) {
	failed := Facts{Result: "exit-code", ExitStatus: 125}
	start := Line{
		Comm: "podman", Transport: "journal", Cgroup: unitCgroup, Event: "start", Message: "container start 73d1",
	}
	for name, lines := range map[string][]Line{
		"through conmon": {
			{Comm: "conmon", Transport: "journal", ContainerID: "73d1", Cgroup: unitCgroup, Message: lacksSecret}},
		"passed through, as podman":  {{Comm: "podman", Transport: "stdout", Cgroup: payloadCgroup, Message: lacksSecret}},
		"passed through, in a scope": {{Comm: "podman", Transport: "stdout", Cgroup: scopeCgroup, Message: lacksSecret}},
		"through attached podman": {
			start, {Comm: "podman", Transport: "stdout", Cgroup: unitCgroup, Message: lacksSecret}},
		"through attached podman, before it says that it started it": {
			{Comm: "podman", Transport: "stdout", Cgroup: unitCgroup, Message: lacksSecret}, start},
		"as systemd": {{Comm: "systemd", Transport: "stdout", Cgroup: payloadCgroup,
			Message: "web.service: A process of this unit has been killed by the OOM killer."}},
		"by another program of the unit": {{Comm: "sh", Transport: "stdout", Cgroup: unitCgroup, Message: lacksSecret}},
		"an exec format error among other lines": {
			{Comm: "conmon", Transport: "journal", ContainerID: "73d1", Message: "hello"},
			{Comm: "conmon", Transport: "journal", ContainerID: "73d1",
				Message: "exec container process `/app`: Exec format error"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := Explain(lines, failed)
			if got.ID != "exit-code" && got.ID != Unknown {
				t.Errorf("the cause is %+v", got)
			}
		})
	}
}

func TestPodmanIsBelieved(t *testing.T) {
	for name, l := range map[string]Line{
		"itself": {Comm: "podman", Transport: "stdout", Cgroup: unitCgroup, Message: lacksSecret},
		"in its user namespace": {
			Comm: "exe", Exe: "/usr/bin/podman", Transport: "stdout", Cgroup: unitCgroup, Message: lacksSecret},
		"that ended before journald looked": {Comm: "exe", Transport: "stdout", Cgroup: unitCgroup, Message: lacksSecret},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Explain([]Line{l}, Facts{Result: "exit-code", ExitStatus: 125})
			if !ok || got.ID != "secret-missing" || got.Names["secret"] != "forged" {
				t.Errorf("the cause is %+v", got)
			}
		})
	}
	dependency := Line{
		Comm: "podman", Transport: "journal", Event: "start", Container: "db", Message: "container start 73d1",
	}
	itself := Line{Comm: "podman", Transport: "stdout", Cgroup: unitCgroup, Message: lacksSecret}
	got, _ := Explain([]Line{dependency, itself}, Facts{Container: "web", ExitStatus: 125})
	if got.ID != "secret-missing" {
		t.Errorf("podman is not believed once it has started what the container needs: %+v", got)
	}
	other := Line{Comm: "exe", Exe: "/usr/local/bin/thing", Transport: "stdout", Cgroup: unitCgroup, Message: lacksSecret}
	if got, ok := Explain([]Line{other}, Facts{}); ok {
		t.Errorf("another program that was started through /proc/self/exe is believed: %+v", got)
	}
}

func TestFactsAlone(t *testing.T) {
	program := Line{Comm: "conmon", Transport: "journal", ContainerID: "73d1", Message: "cannot open the database"}
	for name, c := range map[string]struct {
		lines []Line
		facts Facts
		want  string
		says  string
	}{
		"podman says that memory ran out": {[]Line{program},
			Facts{Result: "exit-code", ExitStatus: 137, OOMKilled: true}, "out-of-memory", "memory ran out"},
		"systemd says that memory ran out": {nil, Facts{Result: "oom-kill"}, "out-of-memory", "memory ran out"},
		"a health check that took too long": {[]Line{program, {Comm: "podman", Event: "health_status"}},
			Facts{Result: "timeout"}, "health-timeout", "did not become healthy"},
		"a start that took too long": {[]Line{program}, Facts{Result: "timeout"}, "start-timeout", "TimeoutStartSec="},
		"a pull that took too long": {
			[]Line{{Comm: "podman", Transport: "stdout", Message: "Trying to pull docker.io/library/big:1..."}},
			Facts{Result: "timeout"}, "pull-slow", "docker.io/library/big:1 was still being pulled"},
		"too many starts": {nil, Facts{Result: "start-limit-hit"}, "start-limit", "refuses"},
		"a signal":        {nil, Facts{Result: "signal", ExitStatus: 11}, "signal", "SIGSEGV"},
		"an exit status": {[]Line{program}, Facts{Result: "exit-code", ExitStatus: 3}, "exit-code",
			"exit status 3; its last line: cannot open the database"},
		"nothing at all": {nil, Facts{Result: "exit-code", ExitStatus: 203}, Unknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, known := Explain(c.lines, c.facts)
			if got.ID != c.want || known != (c.want != Unknown) || !strings.Contains(got.Sentence, c.says) {
				t.Errorf("the reason is %+v", got)
			}
			wantReadable(t, got)
		})
	}
}

// A cause that the table does not have is quoted as it is.
func TestUnknownCauseIsQuoted(t *testing.T) {
	const words = "Error: the flux capacitor is not charged"
	lines := []Line{
		{Comm: "podman", Transport: "stdout", Message: "Resolved something"},
		{Comm: "podman", Transport: "stdout", Message: words},
		{Comm: "conmon", Transport: "syslog",
			Message: "conmon 73d1 <nwarn>: Failed to open cgroups file: /sys/fs/cgroup/memory.events"},
		{Comm: "systemd", Transport: "journal", Message: "web.service: Failed with result 'exit-code'."},
	}
	got, known := Explain(lines, Facts{Result: "exit-code", ExitStatus: 125})
	if known || got.ID != Unknown || got.Sentence != words || got.Quote != words || got.Advice != "" {
		t.Errorf("the reason is %+v (known: %v)", got, known)
	}
}

func TestCommandsAreTheUsers(t *testing.T) {
	line := []Line{{Comm: "podman", Transport: "stdout", Message: "Error: localhost/app:1: image not known"}}
	root, _ := Explain(line, Facts{Unit: "web.service"})
	user, _ := Explain(line, Facts{Unit: "web.service", Rootless: true})
	if !strings.Contains(root.Advice, "`podman pull localhost/app:1`") ||
		!strings.Contains(root.Advice, "`systemctl restart web.service`") {
		t.Errorf("root is advised: %s", root.Advice)
	}
	if !strings.Contains(user.Advice, "`systemctl --user restart web.service`") {
		t.Errorf("a user is advised: %s", user.Advice)
	}
	line = []Line{{Comm: "podman", Transport: "stdout", Message: "Error: $(reboot): image not known"}}
	odd, ok := Explain(line, Facts{Unit: "-web`.service"})
	if !ok || strings.Contains(odd.Advice, "reboot") || strings.Contains(odd.Advice, "-web") ||
		!strings.Contains(odd.Advice, "pull IMAGE") {
		t.Errorf("a command holds what a shell would not take as it is: %s", odd.Advice)
	}
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                              "plain",
		"two\nlines\tand\rmore":              "two lines and more",
		"\x1b[31mred\x1b[0m":                 "red",
		"\x1b]0;title\x07text":               "text",
		"\x1b]8;;http://x\x1b\\link\x1b]8;;": "link",
		"\x1bcreset":                         "creset",
		"bell\a null\x00 del\x7f":            "bell null del",
		"c1 \u009b31m":                       "c1 31m",
		"right \u202eto left\u202c \u2066x":  "right to left x",
		"not \xff UTF-8":                     "not \uFFFD UTF-8",
		"  spaces  ":                         "spaces",
		"":                                   "",
	} {
		if got := Clean(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	got := Clean(strings.Repeat("ä", 5000))
	if len(got) > maxText || !utf8.ValidString(got) || !strings.HasSuffix(got, "ä…") {
		t.Errorf("a long text becomes one of %d bytes", len(got))
	}
}

func TestQuoteIsBounded(t *testing.T) {
	var lines []Line
	for range 500 {
		lines = append(lines, Line{Comm: "conmon", ContainerID: "73d1", Message: strings.Repeat("x", 900) + "\x1b[1m"})
	}
	quoted := Quote(append(lines, Line{Comm: "podman", Message: "Error: last"}))
	size := len(strings.Join(quoted, "\n"))
	if size > quotedBytes || len(quoted) > quotedLines || quoted[len(quoted)-1] != "Error: last" {
		t.Errorf("%d lines with %d bytes", len(quoted), size)
	}
	short := slices.Repeat([]Line{{Comm: "podman", Message: "hm"}}, 100)
	if n := len(Quote(short)); n != quotedLines {
		t.Errorf("%d lines, want %d", n, quotedLines)
	}
	twice := []Line{
		{Comm: "conmon", ContainerID: "73d1", Message: "hello"}, {Comm: "podman", Transport: "stdout", Message: "hello"},
	}
	if diff := cmp.Diff([]string{"hello"}, Quote(twice)); diff != "" {
		t.Errorf("what attached podman writes again is quoted twice:\n%s", diff)
	}
	systemd := []Line{{Comm: "systemd", Message: "Failed to start web.service."}}
	if diff := cmp.Diff([]string{"Failed to start web.service."}, Quote(systemd)); diff != "" {
		t.Error(diff)
	}
}

// docs/failures.md has a row for each cause, with the table's own words.
func TestFailuresAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/failures.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := strings.Join(strings.Fields(string(text)), " ")
	for _, c := range Causes() {
		if !strings.Contains(doc, "`"+c.ID+"`") {
			t.Errorf("docs/failures.md does not have %s", c.ID)
		}
		if !strings.Contains(doc, c.Means) || !strings.Contains(doc, c.Advice(Facts{}, nil)) {
			t.Errorf("docs/failures.md says something else of %s than:\n%s\n%s", c.ID, c.Means, c.Advice(Facts{}, nil))
		}
	}
}

func FuzzExplain(f *testing.F) {
	for _, r := range recordings(f) {
		for _, l := range r.lines {
			f.Add(l.Comm, l.Exe, l.Transport, l.Cgroup, l.ContainerID, l.Event, l.Message, r.Facts.Result, r.Facts.ExitStatus)
		}
	}
	f.Add("podman", "", "stdout", "", "", "", "Error: \x1b[31m\xff: image not known", "exit-code", 125)
	f.Fuzz(func(t *testing.T, comm, exe, transport, cgroup, id, event, message, result string, status int) {
		facts := Facts{Unit: message, Container: comm, Result: result, ExitStatus: status}
		l := Line{Comm: comm, Exe: exe, Transport: transport, Cgroup: cgroup, ContainerID: id, Event: event, Message: message}
		got, known := Explain([]Line{l}, facts)
		if known == (got.ID == Unknown) {
			t.Errorf("known: %v, %+v", known, got)
		}
		wantReadable(t, got)
		// What the container prints never makes it another's fault.
		l.ContainerID = "73d1"
		got, _ = Explain([]Line{l}, facts)
		switch got.ID {
		case Unknown, "exit-code", "signal", "start-limit", "start-timeout", "health-timeout", "out-of-memory", "exec-format":
		default:
			t.Errorf("the container made the cause %s: %q", got.ID, message)
		}
		for _, text := range Quote([]Line{l}) {
			if Clean(text) != text {
				t.Errorf("%q is quoted", text)
			}
		}
	})
}
