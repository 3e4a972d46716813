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
	"archy-recovery/internal/journal"
	"archy-recovery/internal/recover"
)

// compact takes out what only lines things up.
func compact(text string) string { return strings.Join(strings.Fields(text), " ") }

// pretend is a daemon for uid 4242 that gives the same answers to everyone. It goes on
// with its events unless it "ends".
func pretend(t *testing.T, answers map[string]any) {
	t.Helper()
	dir, err := os.MkdirTemp("", "verbs") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	before := socketDir
	socketDir = dir + "/"
	listener, err := net.Listen("unix", instance{uid: 4242}.socket())
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
		socketDir = before
		os.RemoveAll(dir)
	})
}

// cli runs a command for uid 4242.
func cli(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(append([]string{"--uid", "4242"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

var begin = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func TestVerbsAskTheDaemon(t *testing.T) {
	up := recover.Row{Name: "db", State: recover.RowUp, Queued: begin, Attempts: []recover.Attempt{{Started: begin, Ended: begin.Add(2 * time.Second)}}}
	past := recover.Report{ID: 7, BootID: "b7", Started: begin, Finished: begin.Add(3 * time.Second), Rows: []recover.Row{up}, Verdict: recover.Verdict{Ending: recover.HostCrashed}}
	seconds := 2.0
	preview := recover.Preview{Batches: []recover.Batch{{Tier: 0, Slowest: "db", ExpectedSeconds: 2, Containers: []recover.Planned{
		{Name: "db", Unit: "db.service", State: recover.RowQueued, ExpectedSeconds: &seconds}}}}, ExpectedSeconds: 2}
	pretend(t, map[string]any{
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
		code, stdout, stderr := cli(t, strings.Fields(args)...)
		if code != exitOK || !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("%s: exit code %d, %q, %q; want %q", args, code, stdout, stderr, want)
		}
	}
	if code, _, stderr := cli(t, "report", "5"); code != exitError || !strings.Contains(stderr, "recovery 5 is not in the history") {
		t.Errorf("an unknown ID: exit code %d, %q", code, stderr)
	}
}

// While a recovery goes on it is the one that is meant.
func TestReportOfWhatIsUnderWay(t *testing.T) {
	pretend(t, map[string]any{
		"recoveries": control.Recoveries{Recoveries: []recover.Report{{ID: 7, BootID: "b7", Started: begin, Finished: begin}}},
		"status": control.Status{State: recover.Recovering, BootID: "b8", Started: begin,
			Containers: []recover.Row{{Name: "db", State: recover.RowStarting, Queued: begin, Attempts: []recover.Attempt{{Started: begin}}}}},
	})
	if _, stdout, _ := cli(t, "report"); !strings.Contains(stdout, "boot b8: not finished") || !strings.Contains(stdout, "starting") {
		t.Errorf("report: %q", stdout)
	}
	if _, stdout, _ := cli(t, "plot"); !strings.Contains(stdout, "so far ") {
		t.Errorf("plot: %.300q", stdout)
	}
	if _, stdout, _ := cli(t, "report", "last"); !strings.Contains(stdout, "boot b7") {
		t.Errorf("report last: %q", stdout)
	}
}

func TestWait(t *testing.T) {
	failed := control.Status{State: recover.Ready, RecoveryComplete: true, Progress: "complete with 1 failed: 0 of 1 containers run",
		Containers: []recover.Row{{Name: "db", State: recover.RowFailed}}}
	pretend(t, map[string]any{"events": []control.Status{{State: recover.Recovering, Progress: "tier 0"}, failed}})
	code, stdout, stderr := cli(t, "wait")
	if code != exitFailures || stdout != "recovery complete with 1 failed: 0 of 1 containers run\n" || stderr != "" {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestWaitTimesOut(t *testing.T) {
	pretend(t, map[string]any{"events": []control.Status{{State: recover.Recovering, Progress: "tier 0: 1 of 2 started"}}})
	code, stdout, stderr := cli(t, "wait", "--timeout", "300ms")
	if code != exitTimeout || stdout != "" || !strings.Contains(stderr, "not complete within 300ms: tier 0: 1 of 2 started") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestRecoveriesOfBoots(t *testing.T) {
	boots := []journal.Boot{{Index: -3, BootID: "a"}, {Index: -2, BootID: "b"}, {Index: -1, BootID: "c"}, {BootID: "d"}}
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
		report(3, "c", ""),  // b ended in order
		report(4, "d", "b"), // a boot without us lies between
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

func TestOriginsNameEachFileOnce(t *testing.T) {
	got := origins([]config.Origin{{File: "/a", Line: 1}, {File: "/a", Line: 3}, {File: "/b", Line: 2}})
	if want := "/a:1,3 /b:2"; got != want {
		t.Errorf("origins %q, want %q", got, want)
	}
}

// What config prints is a configuration, with each origin above.
func TestConfigIsTold(t *testing.T) {
	code, stdout, _ := cli(t, "config")
	if code != exitOK || !strings.Contains(stdout, "[Recovery]\n") || !strings.Contains(stdout, "DefaultTier=") || !strings.Contains(stdout, "[Tiers]\n") {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
	if code, stdout, _ := cli(t, "config", "--json"); code != exitOK || !json.Valid([]byte(stdout)) || !strings.Contains(stdout, `"from": [`) {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
}
