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

// askVerb makes this program ask the daemon once. It runs on the machine.
const (
	askVerb = "ask-on-the-machine"
	askPath = "/usr/local/bin/bench-ask"
)

// ask prints the monotonic time of the end of the first answer, in µs. The socket
// listens before the daemon runs, so the connection starts the daemon.
func ask() {
	c := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", "/run/archy-recovery/control.sock")
	}}}
	res, err := c.Get("http://localhost/v1/status")
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
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

// installSelf puts this program on the machine, as askPath.
func installSelf(b *bench, m *machine.Machine) {
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	m.WriteFile(askPath, string(program), 0o755, 0)
}

// answerRow measures how long a client waits for the first answer.
func answerRow(b *bench, r *Result) {
	m := recovered(b, r)
	installSelf(b, m)
	var took, sandbox []float64
	for range 4 * b.rounds {
		m.MustRun("sh", "-c", "systemctl stop archy-recovery.socket "+unit+"; systemctl reset-failed; "+
			"systemctl start archy-recovery.socket")
		answered := number64(b, m.MustRun(askPath, askVerb))
		const forked, executed = "ExecMainStartTimestampMonotonic", "ExecMainHandoffTimestampMonotonic"
		span := m.Show(unit, forked, executed)
		took = append(took, float64(answered-number64(b, span[executed]))/1000)
		sandbox = append(sandbox, float64(number64(b, span[executed])-number64(b, span[forked]))/1000)
	}
	r.Title = "From exec to the end of the first API answer"
	r.claimAtMost(r.Title, "≤ 50 ms", "ms", took, 50)
	r.add("all", "ms", took)
	r.add("before that: from systemd's fork to exec, in which it makes the sandbox", "ms", sandbox)
	r.note(fmt.Sprintf("These are %d starts while 30 containers run. systemd gives the moment of the exec "+
		"(ExecMainHandoffTimestamp=).", 4*b.rounds))
}

// number64 parses a decimal number of a command's output.
func number64(b *bench, text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		b.t.Fatalf("%q: %v", text, err)
	}
	return n
}
