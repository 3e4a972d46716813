package control

import (
	"bufio"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// rich is a world in which every field has something to say.
func rich() *recovertest.Host {
	w := crashed(nil)
	tier, at := 2, time.Unix(1_700_000_000, 0)
	w.Marker.SoftReboots, w.Marker.StartTime = 1, 7
	w.Snapshot = &recover.Snapshot{Timestamp: 1, BootID: "b1", SoftReboots: 1, Monotonic: 5, Containers: []recover.Container{
		{Name: "db", Image: "localhost/db:1", Unit: "db.service", Tier: &tier, Unrecovered: true},
		{Name: "gone"}, {Name: "stopped"}, {Name: "bad"},
	}}
	clear(w.Start)
	w.UserStopped = []string{"bad", "stopped"}
	for _, name := range []string{"stopped", "bad", "odd"} {
		w.Plain(name, "exited")
	}
	w.Quarantine = recover.Quarantine{
		{Name: "bad", Strikes: 2, BootID: "b0", Since: at, Quarantined: true, Listed: true, Image: "i", Fingerprint: "f"},
		{Name: "odd", Strikes: 1, BootID: "b0", Since: at},
	}
	w.Reports = []recover.Report{
		{ID: 1, BootID: "b0", Verdict: recover.Verdict{Ending: recover.EndedCleanly, Reason: "r"}, Started: at},
		{ID: 2, BootID: "b1", Mode: recover.ModeSafe, Started: at, Finished: at.Add(time.Second), Notes: []string{"n"},
			Verdict: recover.Verdict{Ending: recover.HostCrashed, Cause: recover.CausePanic, Reason: "r",
				Previous: &recover.Identity{BootID: "b0"}, Evidence: []recover.Entry{{Cursor: "c", Time: at, Message: "m"}}},
			Rows: []recover.Row{
				{Name: "db", Image: "i", Unit: "u.service", Generated: true, Tier: 1, Alone: true, Strikes: 1, Queued: at, Error: "e",
					State: recover.RowFailed, Attempts: []recover.Attempt{{Started: at, Ended: at, Result: "exit-code", Error: "e"}, {Started: at}}},
				{Name: "gone", State: recover.RowMissing},
			}},
	}
	return w
}

// Each answer of a running server fits docs/openapi.yaml, and each answer that
// the file describes is one that comes.
func TestAnswersFitOpenAPI(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to be someone else")
	}
	d := readDescription(t)
	seen := map[string]bool{}
	check := func(operation string, a answer) {
		t.Helper()
		seen[operation+" "+d.check(t, operation, a)] = true
	}
	check404 := func(a answer) { // of no operation
		t.Helper()
		if err := d.judge(t, "/components/schemas/Problem", a.body); err != nil {
			t.Error(err)
		}
	}
	as := func(on *instance, operation, path string) {
		t.Helper()
		method, _, _ := strings.Cut(operation, " ")
		check(operation, on.ask(method+" "+path, ""))
	}
	const put, del = "PUT /v1/user-stopped/{name}", "DELETE /v1/user-stopped/{name}"
	const release, recovery = "DELETE /v1/quarantine/{name}", "GET /v1/recoveries/{id}"
	simple := []string{"GET /v1/status", "GET /v1/plan", "GET /v1/recoveries", "GET /v1/user-stopped", "GET /v1/quarantine", "GET /metrics"}
	everything := func(on *instance) {
		t.Helper()
		for _, operation := range simple {
			check(operation, on.ask(operation, ""))
		}
	}

	w := rich()
	server := newDaemon(t, w, os.Getuid())
	everything(server) // before anything is known
	check("POST /v1/snapshot", server.ask("POST /v1/snapshot", ""))
	server.run().ready()
	everything(server)
	check("POST /v1/snapshot", server.ask("POST /v1/snapshot", ""))
	for _, id := range []string{"1", "2", "last", "-1", "77", "x"} {
		as(server, recovery, "/v1/recoveries/"+id)
	}
	for _, storeErr := range []error{recover.ErrBusy, nil} {
		w.Set(func() { w.UserStoppedErr = storeErr })
		as(server, release, "/v1/quarantine/bad")
	}
	as(server, release, "/v1/quarantine/nobody")
	as(server, release, "/v1/quarantine/a%20b")
	as(server, put, "/v1/user-stopped/new")
	as(server, put, "/v1/user-stopped/a%20b")
	as(server, del, "/v1/user-stopped/new")
	as(server, del, "/v1/user-stopped/a%20b")
	check(put, server.ask("PUT /v1/user-stopped/a", "Content-Length: 70000\r\n\r\n"+strings.Repeat("x", 70000)))
	check404(server.ask("GET /v1/nothing", ""))
	check404(server.ask("PATCH /v1/status", ""))

	stranger := func(operation, path string) {
		t.Helper()
		method, _, _ := strings.Cut(operation, " ")
		check(operation, server.askAs(65533, method+" "+path))
	}
	stranger(put, "/v1/user-stopped/a")
	stranger(del, "/v1/user-stopped/a")
	stranger(release, "/v1/quarantine/odd")
	stranger("POST /v1/snapshot", "/v1/snapshot")

	events(t, server, d)
	seen["GET /v1/events 200"] = true
	full := newLimitedDaemon(t, running(), os.Getuid(), silent, limits{connections: 2, header: time.Minute, request: time.Minute, event: time.Minute})
	check("GET /v1/events", full.ask("GET /v1/events", ""))

	for _, storeErr := range []error{recover.ErrLost, recover.ErrBusy} {
		ill := running()
		ill.UserStoppedErr = storeErr
		on := newDaemon(t, ill, os.Getuid())
		everything(on)
		as(on, put, "/v1/user-stopped/a")
		as(on, del, "/v1/user-stopped/a")
	}
	w.Set(func() {
		w.ReportsErr = errors.New("the disk is ill")
		w.OnList = func() error { return errors.New("podman is ill") }
	})
	everything(server)
	as(server, recovery, "/v1/recoveries/1")
	check("POST /v1/snapshot", server.ask("POST /v1/snapshot", ""))

	for operation, described := range d.operations() {
		for which := range described["responses"].(object) {
			if which != "default" && !seen[operation+" "+which] {
				t.Errorf("%s: %s is described and never came", operation, which)
			}
		}
	}
}

// events holds the first events of a stream against the file.
func events(t *testing.T, server *instance, d *description) {
	t.Helper()
	c := server.dial()
	res := c.get("/v1/events")
	if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("events are %q", kind)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxAnswer)
	const schema = "/paths/~1v1~1events/get/responses/200/content/text~1event-stream/x-event-data/status"
	for stopped := range 2 {
		for _, prefix := range []string{"event: status", "data: ", ""} {
			if !lines.Scan() || !strings.HasPrefix(lines.Text(), prefix) {
				t.Fatalf("%q, %v, want %q", lines.Text(), lines.Err(), prefix)
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := d.judge(t, schema, data); err != nil {
					t.Errorf("an event: %v\n%s", err, data)
				}
			}
		}
		if _, err := server.client.SetUserStopped(t.Context(), "other", stopped == 0); err != nil {
			t.Fatal(err)
		}
	}
}

// askAs asks as another user, from a process of its own.
func (d *instance) askAs(uid uint32, request string) answer {
	d.t.Helper()
	// Not os.Executable(): its directory may be closed to others.
	child := exec.CommandContext(d.t.Context(), "/proc/self/exe")
	child.Env = []string{askAs + "=" + request + " " + d.socket, "GORACE=atexit_sleep_ms=0"}
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := child.Output()
	if err != nil {
		d.t.Fatalf("the peer failed: %v\n%s", err, out)
	}
	status, rest, _ := strings.Cut(string(out), " ")
	kind, body, _ := strings.Cut(rest, " ")
	body, ok := strings.CutSuffix(body, " <nil>\n")
	code, err := strconv.Atoi(status)
	if err != nil || !ok {
		d.t.Fatalf("the peer got %s", out)
	}
	return answer{http.Response{StatusCode: code, Header: http.Header{"Content-Type": {kind}}}, body}
}
