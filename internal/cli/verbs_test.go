package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/config"
	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
)

// compact makes one space of each run of spaces.
func compact(text string) string { return strings.Join(strings.Fields(text), " ") }

// fakeDaemon is a daemon for uid 4242. answers has its answers by path. A list of
// statuses is a stream of events, which stays open unless there is "ends".
func fakeDaemon(t *testing.T, answers map[string]any) {
	t.Helper()
	dir, err := os.MkdirTemp("", "verbs") // unlike t.TempDir, short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	before := socketDirectory
	socketDirectory = dir + "/"
	t.Cleanup(func() {
		socketDirectory = before
		os.RemoveAll(dir)
	})
	serveFake(t, answers)
}

// serveFake is the daemon of fakeDaemon, on the socket in socketDirectory.
func serveFake(t *testing.T, answers map[string]any) {
	t.Helper()
	listener, err := net.Listen("unix", Instance{UID: 4242}.socket())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[strings.TrimPrefix(r.URL.Path, "/v1/")]
		if events, is := answer.([]control.Status); is {
			for _, st := range events {
				data, _ := json.Marshal(st)
				fmt.Fprintf(w, "event: status\ndata: %s\n\n", data)
				http.NewResponseController(w).Flush()
			}
			if answers["ends"] == nil {
				<-r.Context().Done()
			}
			return
		}
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		json.NewEncoder(w).Encode(answer)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
}

// runVerb runs the program for uid 4242.
func runVerb(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = testProgram.Run(append([]string{"--uid", "4242"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

var begin = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func TestVerbsAskDaemon(t *testing.T) {
	up := recover.Row{Name: "db", State: recover.RowUp, Queued: begin,
		Attempts: []recover.Attempt{{Started: begin, Ended: begin.Add(2 * time.Second)}}}
	past := recover.Report{ID: 7, BootID: "b7", Started: begin, Finished: begin.Add(3 * time.Second),
		Rows: []recover.Row{up}, Verdict: recover.Verdict{Ending: recover.HostCrashed}}
	seconds := 2.0
	planned := recover.Planned{Name: "db", Unit: "db.service", State: recover.RowQueued, ExpectedSeconds: &seconds}
	batch := recover.Batch{Tier: 0, Slowest: "db", ExpectedSeconds: 2, Containers: []recover.Planned{planned}}
	preview := recover.Preview{Batches: []recover.Batch{batch}, ExpectedSeconds: 2}
	fakeDaemon(t, map[string]any{
		"recoveries": control.Recoveries{Recoveries: []recover.Report{past}},
		"status":     control.Status{State: recover.Ready, RecoveryComplete: true},
		"plan":       preview,
	})
	for args, want := range map[string]string{
		"report":        "Recovery 7 at",
		"report --list": "host-crash",
		"blame":         "2s db",
		"plot":          "Recovery 7 after a crash of the host",
		"plan":          "1 container, in about 2s",
	} {
		code, stdout, stderr := runVerb(t, strings.Fields(args)...)
		if code != ExitOK || !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("%s: exit code %d, %q, %q; want %q", args, code, stdout, stderr, want)
		}
	}
	code, _, stderr := runVerb(t, "report", "5")
	if code != ExitFailure || !strings.Contains(stderr, "recovery 5 is not in the history") {
		t.Errorf("an unknown ID: exit code %d, %q", code, stderr)
	}
}

// Without an ID the report is of the recovery in progress.
func TestReportInProgress(t *testing.T) {
	past := recover.Report{ID: 7, BootID: "b7", Started: begin, Finished: begin}
	starting := recover.Row{Name: "db", State: recover.RowStarting, Queued: begin,
		Attempts: []recover.Attempt{{Started: begin}}}
	fakeDaemon(t, map[string]any{
		"recoveries": control.Recoveries{Recoveries: []recover.Report{past}},
		"status": control.Status{State: recover.Recovering, BootID: "b8", Started: begin,
			Containers: []recover.Row{starting}},
	})
	_, stdout, _ := runVerb(t, "report")
	if !strings.Contains(stdout, "boot b8: not finished") || !strings.Contains(stdout, "starting") {
		t.Errorf("report: %q", stdout)
	}
	if _, stdout, _ := runVerb(t, "plot"); !strings.Contains(stdout, "so far ") {
		t.Errorf("plot: %.300q", stdout)
	}
	if _, stdout, _ := runVerb(t, "report", "last"); !strings.Contains(stdout, "boot b7") {
		t.Errorf("report last: %q", stdout)
	}
}

func TestWait(t *testing.T) {
	failed := control.Status{State: recover.Ready, RecoveryComplete: true,
		Progress:   "complete with 1 failed: 0 of 1 containers run",
		Containers: []recover.Row{{Name: "db", State: recover.RowFailed, Error: "it broke"}}}
	fakeDaemon(t, map[string]any{"events": []control.Status{{State: recover.Recovering, Progress: "tier 0"}, failed}})
	code, stdout, stderr := runVerb(t, "wait")
	want := "recovery complete with 1 failed: 0 of 1 containers run\n"
	if code != ExitNotRecovered || stdout != want || stderr != "db failed: it broke\n" {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestWaitTimeout(t *testing.T) {
	recovering := control.Status{State: recover.Recovering, Progress: "tier 0: 1 of 2 started"}
	fakeDaemon(t, map[string]any{"events": []control.Status{recovering}})
	code, stdout, stderr := runVerb(t, "wait", "--timeout", "300ms")
	want := "not complete within 300ms: tier 0: 1 of 2 started"
	if code != ExitTimeout || stdout != "" || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestBootsMatchRecoveries(t *testing.T) {
	boots := []recover.Boot{{Index: -3, BootID: "a"}, {Index: -2, BootID: "b"}, {Index: -1, BootID: "c"}, {BootID: "d"}}
	report := func(id int, boot, previous string) recover.Report {
		r := recover.Report{ID: id, BootID: boot, Started: begin, Finished: begin.Add(time.Second)}
		if previous != "" {
			r.Verdict.Previous = &recover.Identity{BootID: previous}
		}
		return r
	}
	ended := matchBoots(boots, []recover.Report{
		report(1, "b", "a"), // a crashed
		report(2, "b", "b"), // the service alone crashed in b
		report(3, "c", ""),  // b ended with a clean stop
		report(4, "d", "b"), // a boot without the daemon lies between
	})
	var got []int
	for _, e := range ended {
		id := 0
		if e.Recovery != nil {
			id = e.Recovery.ID
		}
		got = append(got, id)
	}
	if want := "[1 3 0 0]"; fmt.Sprint(got) != want {
		t.Errorf("recoveries %v, want %s", got, want)
	}
	var out bytes.Buffer
	printBoots(&out, ended, 0)
	if !strings.Contains(out.String(), "RECOVERY") || !strings.Contains(out.String(), "1: nothing to start in 1s") {
		t.Errorf("printed:\n%s", out.String())
	}
}

func TestConfigOrigins(t *testing.T) {
	got := formatOrigins([]config.Origin{{File: "/a", Line: 1}, {File: "/a", Line: 3}, {File: "/b", Line: 2}})
	if want := "/a:1,3 /b:2"; got != want {
		t.Errorf("origins %q, want %q", got, want)
	}
}

// config prints a configuration file, with the origin above each value.
func TestConfigPrintsConfiguration(t *testing.T) {
	code, stdout, _ := runVerb(t, "config")
	for _, want := range []string{"[Recovery]\n", "DefaultTier=", "[Tiers]\n"} {
		if code != ExitOK || !strings.Contains(stdout, want) {
			t.Errorf("exit code %d, want %q in:\n%s", code, want, stdout)
		}
	}
	code, stdout, _ = runVerb(t, "config", "--json")
	if code != ExitOK || !json.Valid([]byte(stdout)) || !strings.Contains(stdout, `"from": [`) {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
}
