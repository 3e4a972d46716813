// Command demo shows a recovery. It boots a temporary machine, runs the containers
// of a small node on it, cuts the power, and prints the recovery as it happens.
// `make demo` runs it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/artifact"
	"archy-recovery/test/machine"
)

// app is a container of the demo node. The package's tier table for Archy nodes
// gives its tier.
type app struct {
	name  string
	ready time.Duration // from its start until it is ready
	plain bool          // made by podman run: it has no unit
}

var apps = []app{
	{name: "btcpay-db", ready: 900 * time.Millisecond},
	{name: "mempool-db", ready: 1200 * time.Millisecond},
	{name: "immich_redis", ready: 300 * time.Millisecond},
	{name: "bitcoin-knots", ready: 1500 * time.Millisecond},
	{name: "lnd", ready: time.Second},
	{name: "electrs", ready: 800 * time.Millisecond},
	{name: "mempool-api", ready: 400 * time.Millisecond},
	{name: "filebrowser", ready: 200 * time.Millisecond},
	{name: "nostr-rs-relay", plain: true},
	{name: "uptime-kuma", plain: true},
	{name: "mempool-web", ready: 200 * time.Millisecond},
	{name: "lnd-ui", ready: 100 * time.Millisecond},
}

const (
	unit   = "archy-recovery@1000.service"
	broken = "nextcloud"       // ran before the power failure, and cannot start after it
	off    = "penpot-frontend" // stopped by the operator
)

func main() {
	os.Exit(machine.Demo("demo", demo))
}

func demo(t machine.TB) {
	deb := artifact.Package(t)
	say("A temporary Debian 13 boots, with rootless podman and archy-recovery.")
	m := machine.Start(t)
	user := m.As(machine.User)
	m.Install(deb)
	m.WriteFile("/etc/archy-recovery.conf.d/50-demo.conf", "[Recovery]\nRetryPauseSec=1\n", 0o644, 0)
	m.MustRun("systemctl", "enable", "--now", unit)

	say("%d containers are started, as Quadlet units and by podman run.", len(apps)+2)
	// Rootless podman's first commands of a boot race for the pause process if they
	// run side by side, so the first one runs alone.
	user.MustRun("podman", "ps")
	var units []string
	for _, a := range apps {
		if a.plain {
			user.MustRun("podman", "run", "--detach", "--name", a.name, machine.Image)
			continue
		}
		quadlet(m, a.name, fmt.Sprintf("-ready-after %s", a.ready))
		units = append(units, a.name)
	}
	for _, name := range []string{broken, off} {
		quadlet(m, name, "-ready-after 100ms")
		units = append(units, name)
	}
	user.Systemctl(append([]string{"start"}, units...)...)
	say("The operator stops %s on purpose.", off)
	m.MustRun("archy-recovery", "--uid=1000", "user-stopped", "add", off)
	user.Systemctl("stop", off)
	m.WaitFor(10*time.Second, "the snapshot", func() bool {
		text, _ := m.ReadFile("/var/lib/archy-recovery/1000/running-containers.json")
		var s recover.Snapshot
		return json.Unmarshal([]byte(text), &s) == nil && len(s.Containers) == len(apps)+1
	})

	say("The power fails. Meanwhile %s breaks.", broken)
	m.PullPlug()
	quadlet(m, broken, "-state /nowhere")
	m.BootNoWait()
	say("The power is back. This is the recovery:")
	follow(t, m)

	say("The operator's view (archy-recovery --uid 1000 status):")
	fmt.Println(m.MustRun("archy-recovery", "--uid=1000", "status"))
	const picture = "dist/demo.svg"
	if err := os.WriteFile(picture, []byte(m.MustRun("archy-recovery", "--uid=1000", "plot")), 0o644); err != nil {
		t.Fatalf("%v", err)
	}
	say("The same as a picture (archy-recovery --uid 1000 plot): %s", picture)
	say("The demo removes the machine, its processes and its mounts.")
}

func quadlet(m *machine.Machine, name, args string) {
	m.Quadlet(machine.User, name+".container", fmt.Sprintf(
		"[Container]\nImage=%s\nContainerName=%s\nNotify=true\nExec=%s\n", machine.Image, name, args))
}

func say(format string, args ...any) {
	fmt.Printf("\n==> "+format+"\n", args...)
}

// follow prints every change of a container's state until recovery is complete.
func follow(t machine.TB, m *machine.Machine) {
	command := []string{"archy-recovery", "--uid=1000", "status", "--json", "--follow"}
	m.WaitFor(60*time.Second, "the daemon's socket", func() bool {
		_, err := m.Run(command[:len(command)-1]...)
		return err == nil
	})
	r, w := io.Pipe()
	cmd := m.Command(context.Background(), command...)
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v", err)
	}
	defer func() {
		cmd.Process.Kill()
		r.Close()
		cmd.Wait() // its error only says that it was killed
	}()
	known := map[string]recover.RowState{}
	first := true
	for updates := json.NewDecoder(r); ; {
		var st control.Status
		if err := updates.Decode(&st); err != nil {
			t.Fatalf("the daemon's event stream ended before recovery was complete: %v", err)
		}
		if first && st.Verdict.Ending != "" {
			fmt.Printf("        the last run ended: %s (%s)\n", st.Verdict.Ending, st.Verdict.Reason)
			first = false
		}
		for _, row := range st.Containers {
			if known[row.Name] == row.State || row.State == recover.RowQueued {
				continue
			}
			known[row.Name] = row.State
			at := row.Ended()
			if row.State == recover.RowStarting && len(row.Attempts) == 1 {
				at = row.Started()
			}
			since := "      "
			if !at.IsZero() {
				since = fmt.Sprintf("%5.2fs", at.Sub(st.Started).Seconds())
			}
			fmt.Printf("%s  tier %d  %-16s %s %s\n", since, row.Tier, row.Name, row.State, row.Error)
		}
		if st.RecoveryComplete {
			return
		}
	}
}
