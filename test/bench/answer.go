package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"archy-recovery/test/machine"

	"golang.org/x/sys/unix"
)

// askVerb makes this program, on the machine, ask the daemon once.
const (
	askVerb = "ask-on-the-machine"
	askPath = "/usr/local/bin/bench-ask"
)

// ask prints the monotonic time, in µs, of the end of the first answer. The
// socket listens before the daemon runs: to connect is to have it started.
func ask() {
	c := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", "/run/archy-recovery/control.sock")
	}}}
	res, err := c.Get("http://localhost/v1/status")
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
	}
	var now unix.Timespec
	if err == nil {
		err = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(now.Nano() / 1000)
}

// answerRow: how long who asks at boot has to wait.
func answerRow(b *bench, r *Result) {
	m := recovered(b, r)
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	m.WriteFile(askPath, string(program), 0o755, 0)
	bare(b, m)
	var took, sandbox []float64
	for range 4 * b.rounds {
		m.MustRun("sh", "-c", "systemctl stop archy-recovery.socket "+unit+"; systemctl reset-failed; systemctl start archy-recovery.socket")
		answered := number64(b, m.MustRun(askPath, askVerb))
		began := number64(b, m.Show(unit, "ExecMainStartTimestampMonotonic")["ExecMainStartTimestampMonotonic"])
		took = append(took, float64(answered-began)/1000)
		m.Systemctl("restart", bareUnit)
		span := m.Show(bareUnit, "ExecMainStartTimestampMonotonic", "ExecMainExitTimestampMonotonic")
		sandbox = append(sandbox, float64(number64(b, span["ExecMainExitTimestampMonotonic"])-number64(b, span["ExecMainStartTimestampMonotonic"]))/1000)
	}
	r.Title = "From exec to the end of the first API answer"
	r.most(r.Title, "≤ 50 ms", "ms", took, 50)
	r.add("all", "ms", took)
	r.add("a unit with the same sandbox that runs /bin/true, to its end", "ms", sandbox)
	r.note(fmt.Sprintf("%d starts in turn, 30 containers. systemd's fork, exec and the making of the sandbox are in it; the second row is these alone.", 4*b.rounds))
}

const bareUnit = "bench-bare.service"

// bare makes a unit with our unit's sandbox and nothing in it.
func bare(b *bench, m *machine.Machine) {
	text, err := m.ReadFile("/usr/lib/systemd/system/" + unit)
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	_, service, _ := strings.Cut(text, "[Service]\n")
	kept := "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
	for line := range strings.Lines(service) {
		switch key, _, _ := strings.Cut(line, "="); key {
		case "[Install]\n":
			m.WriteFile("/etc/systemd/system/"+bareUnit, kept, 0o644, 0)
			m.Reload()
			return
		case "Type", "NotifyAccess", "ExecStart", "Sockets", "Restart", "RestartSec", "WatchdogSec":
		default:
			kept += line
		}
	}
	b.t.Fatalf("%s has no [Install]", unit)
}

func number64(b *bench, text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		b.t.Fatalf("%q: %v", text, err)
	}
	return n
}
