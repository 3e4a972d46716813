package recovery

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/change"
)

// Helpers for tests that follow what becomes of the containers after their start.

// A shownStatus is an answer of GET /v1/status, as a client of the API reads it.
type shownStatus struct {
	RecoveryComplete bool
	Progress         string
	Started          time.Time
	Finished         time.Time
	PID              int
	Containers       []shownRow
	Now              map[string]int // how many containers do what now

	at time.Time // when the test read it
}

type shownRow struct {
	recover.Row
	Now string `json:"now"` // what the container does now
}

// row returns the row of a container, and a row without a name if there is none.
func (st shownStatus) row(name string) shownRow {
	for _, row := range st.Containers {
		if row.Name == name {
			return row
		}
	}
	return shownRow{}
}

// took is the time from the start of recovery to READY.
func (st shownStatus) took() time.Duration { return st.Finished.Sub(st.Started) }

// A watch follows an instance's status from the machine's boot to its end, also
// over restarts of the daemon.
type watch struct {
	n     *node
	state *change.State // guards seen
	seen  []shownStatus
}

// watch begins to follow the status. The daemon may start later.
func (n *node) watch() *watch {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	n.t.Cleanup(cancel)
	follow := []string{"sh", "-c", `while :; do "$@" 2>/dev/null; sleep 0.1; done`, "sh"}
	cmd := n.Command(ctx, append(follow, n.command("status", "--follow", "--json")...)...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		n.t.Fatalf("follow the status: %v", err)
	}
	w := &watch{n: n, state: change.NewState()}
	go func() {
		w.read(out)
		_ = cmd.Wait() // the machine or the test has ended it
	}()
	return w
}

func (w *watch) read(out io.Reader) {
	for answers := json.NewDecoder(out); ; {
		var st shownStatus
		if answers.Decode(&st) != nil {
			return
		}
		st.at = time.Now()
		w.state.Change(func() { w.seen = append(w.seen, st) })
	}
}

// await returns the first status that is as wanted, of the last one seen and those
// to come. After the limit it ends the test.
func (w *watch) await(limit time.Duration, what string, wanted func(shownStatus) bool) shownStatus {
	w.n.t.Helper()
	st, ok := w.tryAwait(limit, what, wanted)
	if !ok {
		w.n.t.Fatalf("within %s there was no sign of %s; the status is\n%s", limit, what, w.n.shown())
	}
	return st
}

// tryAwait is await for tests that go on if the wanted status does not come. It then
// returns the last status.
func (w *watch) tryAwait(limit time.Duration, what string, wanted func(shownStatus) bool) (st shownStatus, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	next := -1
	err := w.state.Await(ctx, what, func() (bool, error) {
		if next < 0 {
			next = max(len(w.seen)-1, 0)
		}
		for ; next < len(w.seen); next++ {
			if wanted(w.seen[next]) {
				st = w.seen[next]
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		st = w.last()
	}
	return st, err == nil
}

// last returns the last status that was seen.
func (w *watch) last() shownStatus {
	w.n.t.Helper()
	all := w.all()
	if len(all) == 0 {
		w.n.t.Fatal("the daemon has never answered")
	}
	return all[len(all)-1]
}

// all returns all statuses that were seen so far, oldest first.
func (w *watch) all() []shownStatus {
	w.state.Lock()
	defer w.state.Unlock()
	return slices.Clone(w.seen)
}

// awaitReady returns the first status after READY.
func (w *watch) awaitReady(limit time.Duration) shownStatus {
	w.n.t.Helper()
	return w.await(limit, "READY", func(st shownStatus) bool { return st.RecoveryComplete })
}

// shown returns the status as text, for messages of failed tests.
func (n *node) shown() string {
	out, err := n.Run(n.command("status", "--lines=0")...)
	if err != nil {
		return err.Error()
	}
	return out
}

// cutPower cuts the power while exactly these containers are in the snapshot. The
// machine is off afterwards.
func (n *node) cutPower(inSnapshot ...string) {
	n.t.Helper()
	n.PullPlug()
	var set recover.Snapshot
	for _, name := range inSnapshot {
		set.Containers = append(set.Containers, recover.Container{Name: name, Image: "x"})
	}
	set.Timestamp = 1
	text, err := json.Marshal(set)
	if err != nil {
		n.t.Fatal(err)
	}
	n.WriteFile(n.dataFile("running-containers.json"), string(text), 0o644, n.uid)
}

// wantNotAllRecovered checks that `wait` says so by its exit status.
func (n *node) wantNotAllRecovered() {
	n.t.Helper()
	out, err := n.Run(n.command("wait", "--timeout=60s")...)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") {
		n.t.Errorf("wait prints %q and ends with %v, want exit status 3", out, err)
	}
}

// wantWarned checks that the daemon has logged the end of this boot's recovery as a
// warning.
func (n *node) wantWarned() {
	n.t.Helper()
	if log := n.Journal("-b", "-o", "cat", "-p", "warning", "MESSAGE_ID="+recover.MsgComplete); log == "" {
		n.t.Errorf("the end of recovery is no warning: %s", n.Journal("-b", "-o", "cat", "MESSAGE_ID="+recover.MsgComplete))
	}
}

// lastEvents returns when podman logged the last event of this kind, for each
// container that had one in this boot.
func (n *node) lastEvents(event string) map[string]time.Time {
	n.t.Helper()
	last := map[string]time.Time{}
	entries := n.Journal("-b", "-o", "json", "--output-fields=PODMAN_NAME", "PODMAN_TYPE=container", "PODMAN_EVENT="+event)
	for line := range strings.Lines(entries) {
		var entry struct {
			Name string `json:"PODMAN_NAME"`
			At   string `json:"__REALTIME_TIMESTAMP"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			n.t.Fatalf("%v in %s", err, line)
		}
		at, err := strconv.ParseInt(entry.At, 10, 64)
		if err != nil {
			n.t.Fatalf("%v in %s", err, line)
		}
		last[entry.Name] = time.UnixMicro(at) // the machine's clock is the host's
	}
	return last
}

// startCount returns how often the program of a container was started with
// `-state /state` and stateVolume.
func (n *node) startCount(name string) string {
	n.t.Helper()
	text, err := n.ReadFile("/srv/" + name + "/starts")
	if err != nil {
		n.t.Fatal(err)
	}
	return strings.TrimSpace(text)
}

// stateVolume makes a directory of the host for the number of starts of a container,
// and returns the line of its [Container] that mounts it on /state.
func (n *node) stateVolume(name string) string {
	n.t.Helper()
	n.WriteFile("/srv/"+name+"/starts", "0\n", 0o644, n.uid)
	return fmt.Sprintf("Volume=/srv/%s:/state", name)
}

// savedSet returns the containers of the snapshot on the disk.
func (n *node) savedSet() []recover.Container {
	n.t.Helper()
	var saved recover.Snapshot
	if err := json.Unmarshal([]byte(n.readData("running-containers.json")), &saved); err != nil {
		n.t.Fatal(err)
	}
	return saved.Containers
}
