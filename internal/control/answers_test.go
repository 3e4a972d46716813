package control

import (
	"bufio"
	"context"
	"encoding/json"
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

// rich is a world in which every field of the answers has a value.
func rich() *recovertest.Host {
	w := crashed(nil)
	tier, at := 2, time.Unix(1_700_000_000, 0)
	w.Marker.SoftReboots, w.Marker.StartTime = 1, 7
	w.GraphRoot = "/c"
	w.Snapshot = &recover.Snapshot{
		Timestamp: 1, BootID: "b1", SoftReboots: 1, Monotonic: 5,
		GraphRoot: "/c",
		Containers: []recover.Container{
			{Name: "db", Image: "localhost/db:1", Unit: "db.service", Tier: &tier, Unrecovered: true},
			{Name: "gone"}, {Name: "stopped"}, {Name: "bad"}, {Name: "job"},
		},
	}
	clear(w.Start)
	w.Quadlet("job") // it fails, and has no second attempt
	w.Units["job.service"] = recover.ContainerUnit{
		Unit: "job.service", Container: recover.Container{Name: "job"}, Job: true}
	w.Start["job.service"] = recovertest.Fails
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
				{Name: "db", Image: "i", Unit: "u.service", Generated: true, Tier: 1, Alone: true, Strikes: 1,
					Queued: at, Error: "e", State: recover.RowFailed,
					Attempts: []recover.Attempt{{Started: at, Ended: at, Result: "exit-code", Error: "e"}, {Started: at}}},
				{Name: "gone", State: recover.RowMissing},
			}},
	}
	return w
}

// Each answer of a running server matches docs/openapi.yaml, and the server
// gives each answer that the file describes.
func TestAnswersMatchOpenAPI(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	d := readDescription(t)
	seen := map[string]bool{}
	check := func(operation string, a answer) {
		t.Helper()
		seen[operation+" "+d.check(t, operation, a)] = true
	}
	checkUnmatched := func(a answer) { // of no operation
		t.Helper()
		if err := d.validate(t, "/components/schemas/Problem", a.body); err != nil {
			t.Error(err)
		}
	}
	checkPath := func(of *instance, operation, path string) {
		t.Helper()
		method, _, _ := strings.Cut(operation, " ")
		check(operation, of.ask(method+" "+path, ""))
	}
	const put, del = "PUT /v1/user-stopped/{name}", "DELETE /v1/user-stopped/{name}"
	const release, recovery = "DELETE /v1/quarantine/{name}", "GET /v1/recoveries/{id}"
	const plot = "GET /v1/recoveries/{id}/plot"
	checkReads := func(of *instance) {
		t.Helper()
		for _, operation := range []string{
			"GET /v1/status", "GET /v1/plan", "GET /v1/recoveries", "GET /v1/user-stopped", "GET /v1/quarantine", "GET /metrics",
			"GET /v1/boots",
		} {
			check(operation, of.ask(operation, ""))
		}
	}

	w := rich()
	server := newDaemon(t, w, os.Getuid())
	checkReads(server) // before the verdict
	check("POST /v1/snapshot", server.ask("POST /v1/snapshot", ""))
	checkPath(server, "POST /v1/retry", "/v1/retry")
	for _, method := range []string{"GET", "POST"} {
		checkPath(server, method+" /v1/repair", "/v1/repair")
		checkPath(server, method+" /v1/repair/{name}", "/v1/repair/db")
	}
	server.run().ready()
	checkReads(server)
	check("POST /v1/snapshot", server.ask("POST /v1/snapshot", ""))
	for _, id := range []string{"1", "2", "last", "current", "-1", "77", "x"} {
		checkPath(server, recovery, "/v1/recoveries/"+id)
		checkPath(server, plot, "/v1/recoveries/"+id+"/plot")
	}
	for _, storeErr := range []error{recover.ErrBusy, nil} {
		w.Set(func() { w.UserStoppedErr = storeErr })
		checkPath(server, release, "/v1/quarantine/bad")
	}
	const retry = "POST /v1/retry/{name}"
	checkPath(server, "POST /v1/retry", "/v1/retry")
	for _, name := range []string{"db", "job", "nobody", "stopped", "a%20b"} {
		checkPath(server, retry, "/v1/retry/"+name)
	}
	w.Set(func() { w.UserStoppedErr = errors.New("the disk fails") })
	checkPath(server, retry, "/v1/retry/db")
	w.Set(func() { w.UserStoppedErr = nil })
	checkRepairs(w, server, checkPath)
	if err := d.validate(t, "/components/schemas/Repairs", `{"repairs":[`+aRepair(t)+`],"unknown":["u"]}`); err != nil {
		t.Error(err)
	}
	for _, seconds := range []string{"60", "0", "x", "999999"} {
		checkPath(server, "PUT /v1/hold", "/v1/hold?seconds="+seconds)
	}
	check("GET /v1/status", server.ask("GET /v1/status", ""))
	checkPath(server, "DELETE /v1/hold", "/v1/hold")
	checkPath(server, release, "/v1/quarantine/nobody")
	checkPath(server, release, "/v1/quarantine/a%20b")
	checkPath(server, put, "/v1/user-stopped/new")
	checkPath(server, put, "/v1/user-stopped/a%20b")
	checkPath(server, del, "/v1/user-stopped/new")
	checkPath(server, del, "/v1/user-stopped/a%20b")
	check(put, server.ask("PUT /v1/user-stopped/a", "Content-Length: 70000\r\n\r\n"+strings.Repeat("x", 70000)))
	checkUnmatched(server.ask("GET /v1/nothing", ""))
	checkUnmatched(server.ask("PATCH /v1/status", ""))

	checkAsOther := func(operation, path string) {
		t.Helper()
		method, _, _ := strings.Cut(operation, " ")
		check(operation, server.askAs(65533, method+" "+path))
	}
	checkAsOther(put, "/v1/user-stopped/a")
	checkAsOther(del, "/v1/user-stopped/a")
	checkAsOther(release, "/v1/quarantine/odd")
	checkAsOther("POST /v1/snapshot", "/v1/snapshot")
	checkAsOther("POST /v1/retry", "/v1/retry")
	checkAsOther(retry, "/v1/retry/db")
	checkAsOther("POST /v1/repair", "/v1/repair")
	checkAsOther("POST /v1/repair/{name}", "/v1/repair/db")
	checkAsOther("PUT /v1/hold", "/v1/hold?seconds=60")
	checkAsOther("DELETE /v1/hold", "/v1/hold")

	checkEvents(t, server, d)
	seen["GET /v1/events 200"] = true
	noStreams := limits{connections: 2, header: time.Minute, request: time.Minute, event: time.Minute}
	full := newLimitedDaemon(t, running(), os.Getuid(), silent, noStreams)
	check("GET /v1/events", full.ask("GET /v1/events", ""))

	for _, storeErr := range []error{recover.ErrLost, recover.ErrBusy} {
		w := running()
		w.UserStoppedErr = storeErr
		damaged := newDaemon(t, w, os.Getuid())
		checkReads(damaged)
		checkPath(damaged, put, "/v1/user-stopped/a")
		checkPath(damaged, del, "/v1/user-stopped/a")
	}
	w.Set(func() {
		w.ReportsErr = errors.New("the disk fails")
		w.OnList = func() error { return errors.New("podman fails") }
	})
	checkReads(server)
	checkPath(server, recovery, "/v1/recoveries/1")
	checkPath(server, plot, "/v1/recoveries/1/plot")
	broken := newDaemon(t, running(), os.Getuid()).run().ready()
	broken.list.Store(func(context.Context, int) ([]recover.Boot, error) { return nil, errors.New("the journal fails") })
	check("GET /v1/boots", broken.ask("GET /v1/boots", ""))
	check("POST /v1/snapshot", server.ask("POST /v1/snapshot", ""))

	for operation, described := range d.operations() {
		for which := range described["responses"].(object) {
			if which != "default" && !seen[operation+" "+which] {
				t.Errorf("%s: the server never gave the answer %s that docs/openapi.yaml describes", operation, which)
			}
		}
	}
}

// aRepair is one with each of its fields.
func aRepair(t *testing.T) string {
	t.Helper()
	r := recover.Repair{Container: "db", Fault: "f", Refused: "r", Error: "e"}
	for _, kind := range recover.RepairKinds() {
		r.Steps = append(r.Steps, recover.RepairStep{Kind: kind, Target: "t", Done: true})
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkRepairs asks for repairs of a host: of what only the storage knows, while one is under
// way, and while podman fails.
func checkRepairs(w *recovertest.Host, server *instance, checkPath func(*instance, string, string)) {
	const all, doAll = "GET /v1/repair", "POST /v1/repair"
	const one, do = "GET /v1/repair/{name}", "POST /v1/repair/{name}"
	w.Set(func() { w.External = []recover.StoredName{{ID: "g", Name: "gone", External: true}} })
	every := func() {
		checkPath(server, all, "/v1/repair")
		checkPath(server, doAll, "/v1/repair")
		for _, name := range []string{"gone", "nobody", "a%20b"} {
			checkPath(server, one, "/v1/repair/"+name)
			checkPath(server, do, "/v1/repair/"+name)
		}
	}
	every()
	looking := make(chan struct{})
	w.Set(func() { w.Looking = looking })
	first := make(chan struct{})
	go func() {
		defer close(first)
		server.ask("POST /v1/repair/gone", "")
	}()
	looking <- struct{}{} // it is under way
	every()
	w.Set(func() { w.Looking = nil })
	looking <- struct{}{}
	<-first
	w.Set(func() { w.PodmanErr = errors.New("podman fails") })
	every()
	w.Set(func() { w.PodmanErr, w.External = nil, nil })
}

// checkEvents compares the first events of a stream with docs/openapi.yaml.
func checkEvents(t *testing.T, server *instance, d *description) {
	t.Helper()
	c := server.dial()
	res := c.get("/v1/events")
	if kind := res.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("Content-Type %q", kind)
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
				if err := d.validate(t, schema, data); err != nil {
					t.Errorf("event: %v\n%s", err, data)
				}
			}
		}
		if _, err := server.client.SetUserStopped(t.Context(), "other", stopped == 0); err != nil {
			t.Fatal(err)
		}
	}
}

// askAs sends a request as another user, from another process.
func (d *instance) askAs(uid uint32, request string) answer {
	d.t.Helper()
	// Not os.Executable(): another user may have no access to its directory.
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
