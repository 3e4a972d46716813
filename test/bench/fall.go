package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"

	"golang.org/x/sys/unix"
)

// killVerb makes this program kill containers. It runs on the machine.
const killVerb = "kill-on-the-machine"

// aDeath is when GET /v1/status first said that a container is down.
type aDeath struct {
	Name  string
	Shown time.Time
	State recover.RowState // of its row, then
}

// kill kills the containers NAME=PID of the arguments, one after another on an idle host, and
// prints when GET /v1/status shows the end of each, with its row in the state of the first one.
func kill(args []string) error {
	if len(args) == 0 {
		return errors.New("the state of the rows is missing")
	}
	want, targets := recover.RowState(args[0]), args[1:]
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", "/run/archy-recovery/control.sock")
	}
	c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: dial}}
	out := json.NewEncoder(os.Stdout)
	for _, target := range targets {
		name, text, _ := strings.Cut(target, "=")
		pid, err := strconv.Atoi(text)
		if err != nil || pid < 2 {
			return fmt.Errorf("%q is no NAME=PID", target)
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		row, at, err := awaitDown(&c, name, want)
		if err != nil {
			return err
		}
		if err := out.Encode(aDeath{name, at, row.State}); err != nil {
			return err
		}
		time.Sleep(500 * time.Millisecond) // until the host idles again
	}
	return nil
}

// awaitDown polls the status until a container is down and its row says so, as a monitor would.
func awaitDown(c *http.Client, name string, want recover.RowState) (recover.Row, time.Time, error) {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		res, err := c.Get("http://localhost/v1/status")
		if err != nil {
			return recover.Row{}, time.Time{}, err
		}
		var st control.Status
		err = json.NewDecoder(res.Body).Decode(&st)
		at := time.Now()
		res.Body.Close()
		if err != nil {
			return recover.Row{}, time.Time{}, err
		}
		for _, row := range st.Containers {
			if row.Name == name && row.Now == recover.NowDown && row.State == want {
				return row, at, nil
			}
		}
	}
	return recover.Row{}, time.Time{}, errors.New("the end of " + name + " is not shown")
}

// fallRow measures how soon the status shows the end of a container.
func fallRow(b *bench, r *Result) {
	const within, after = 100, 50
	m := newMachine(b)
	r.With += tools(m)
	installSelf(b, m)
	var names []string
	for i := range within {
		name := fmt.Sprintf("fall%03d", i)
		m.WriteFile("/etc/containers/systemd/"+name+".container",
			fmt.Sprintf("[Container]\nImage=%s\nContainerName=%s\n[Service]\nTimeoutStartSec=900\n", machine.Image, name),
			0o644, 0)
		names = append(names, name)
	}
	m.Reload()
	r.Title, r.Rounds = "From podman's entry of a container's end to GET /v1/status that shows it", 1
	soaking := falls(b, m, names, "15min", recover.RowFell)
	r.claimAtMost(fmt.Sprintf("%s, %d falls within their soak: p99", r.Title, within), "≤ 1 s", "s",
		[]float64{p99(soaking)}, 1)
	soaked := falls(b, m, names[:after], "1s", recover.RowUp)
	r.claimAtMost(fmt.Sprintf("the same, %d ends after the soak: p99", after), "≤ 1 s", "s", []float64{p99(soaked)}, 1)
	r.add("falls within their soak", "s", soaking)
	r.add("ends after the soak", "s", soaked)
	r.note("Each container is killed while the host idles. The status is asked for every 10 ms. A figure below 0 would " +
		"say that the status was faster than podman's entry, and counts as 0.")
}

// falls recovers containers, kills them one after another, and returns how much later than
// podman's entry of its end the status showed each, in seconds and sorted.
func falls(b *bench, m *machine.Machine, names []string, soak string, want recover.RowState) (took []float64) {
	m.MustRun("sh", "-c", "systemctl stop "+unit+" archy-recovery.socket 'fall*.service'; systemctl reset-failed")
	m.WriteFile(confFile, "[Recovery]\nSoakSec="+soak+"\n", 0o644, 0)
	clearSuspects(m)
	var set []recover.Container
	tier := 1
	for _, name := range names {
		set = append(set, recover.Container{Name: name, Image: machine.Image, Unit: name + ".service", Tier: &tier})
	}
	crashedWith(b.t, set).write(m, dataDir, 0)
	m.Systemctl("start", "archy-recovery.socket", unit)
	wantUp(b.t, m, len(names))
	time.Sleep(5 * time.Second) // until the work after READY, and a short soak, are over
	pids := strings.Fields(m.MustRun(slices.Concat([]string{"podman", "inspect", "--format", "{{.Name}}={{.State.Pid}}"},
		names)...))
	seen := strings.TrimSpace(m.MustRun("date", "+%s"))
	out := m.MustRun(slices.Concat([]string{askPath, killVerb, string(want)}, pids)...)
	died := map[string]time.Time{}
	entries := m.MustRun("journalctl", "-b", "-o", "json", "--since", "@"+seen, "PODMAN_EVENT=died")
	for line := range strings.Lines(entries) {
		var e struct {
			Name string `json:"PODMAN_NAME"`
			At   string `json:"__REALTIME_TIMESTAMP"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			b.t.Fatalf("%q: %v", line, err)
		}
		died[e.Name] = time.UnixMicro(number64(b, e.At))
	}
	for line := range strings.Lines(out) {
		var d aDeath
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			b.t.Fatalf("%q: %v", line, err)
		}
		if died[d.Name].IsZero() || d.State != want {
			b.t.Fatalf("%s is %s, want %s; podman's entry is of %s", d.Name, d.State, want, died[d.Name])
		}
		took = append(took, max(0, d.Shown.Sub(died[d.Name]).Seconds()))
	}
	if len(took) != len(names) {
		b.t.Fatalf("%d of %d ends were shown", len(took), len(names))
	}
	slices.Sort(took)
	return took
}

// p99 is the figure that 99 of 100 do not exceed. The figures are sorted.
func p99(figures []float64) float64 { return figures[(99*len(figures)+99)/100-1] }
