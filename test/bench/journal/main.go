// Command journal measures the cost of reading a big journal. It makes the requests
// of an assessment on a machine with 50 boots and 2 GB of journal. `make bench` runs
// it. journald itself writes the journal: the machine really boots so often, every
// other time after a power failure, and its programs write the entries.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/journal"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"

	systemd "github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/sys/unix"
)

// On the machine, this same program writes the entries, and reads them.
const (
	self    = "/usr/local/bin/bench-journal"
	flood   = "flood"
	measure = "measure"
)

// ticks is how often a timer has run its service in the boot under assessment. That
// is every two minutes for three days.
const ticks = 2000

func main() {
	if len(os.Args) > 2 && os.Args[1] == flood {
		exit(writeFlood(os.Args[2]))
	}
	if len(os.Args) > 3 && os.Args[1] == measure {
		exit(readAll(os.Args[2], os.Args[3]))
	}
	boots := flag.Int("boots", 50, "number of boots")
	megabytes := flag.Int("megabytes", 2000, "size of the journal in MB")
	flag.Parse()
	os.Exit(machine.Demo("journal", func(t machine.TB) { bench(t, *boots, *megabytes) }))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func bench(t machine.TB, boots, megabytes int) {
	m := machine.Start(t, machine.Off(), machine.Timeout(10*time.Minute))
	m.WriteFile("/etc/systemd/system/tick.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n", 0o644, 0)
	m.WriteFile("/etc/systemd/journald.conf.d/bench.conf",
		"[Journal]\nRateLimitIntervalSec=0\nSystemMaxUse=8G\nSystemKeepFree=1G\n", 0o644, 0)
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatalf("%v", err)
	}
	m.WriteFile(self, string(program), 0o755, 0)

	dead := ""
	for i := range boots - 1 {
		m.Boot()
		dead = m.BootID()
		written := size(t, m)
		for target := megabytes * (i + 1) / boots; written < target; written = size(t, m) {
			m.MustRun("systemd-run", "--wait", "--quiet", self, flood, strconv.Itoa(1000*(target-written)))
		}
		if i == boots-2 { // this is the boot under assessment
			m.MustRun("sh", "-c", fmt.Sprintf("for i in $(seq %d); do systemctl start tick.service; done", ticks))
		}
		if i%2 == 0 {
			m.PullPlug()
		} else {
			m.PowerOff()
		}
		fmt.Fprintf(os.Stderr, "boot %d of %d: %d MB\r", i+1, boots, written)
	}
	m.Boot()
	fmt.Printf("a journal of %d MB in %s files, %s boots\n", size(t, m),
		strings.TrimSpace(m.MustRun("sh", "-c", "ls /var/log/journal/* | wc -l")),
		strings.TrimSpace(m.MustRun("sh", "-c", "journalctl --list-boots -q | wc -l")))
	fmt.Print(m.MustRun(self, measure, dead, m.BootID()))
}

// size returns the size of the machine's journal in MB.
func size(t machine.TB, m *machine.Machine) int {
	out := m.MustRun("du", "-sm", "/var/log/journal")
	n, err := strconv.Atoi(strings.Fields(out)[0])
	if err != nil {
		t.Fatalf("du: %q", out)
	}
	return n
}

// writeFlood writes about so many kilobytes of journal: lines like those of
// services, and podman's events of health checks.
func writeFlood(kilobytes string) error {
	n, err := strconv.Atoi(kilobytes)
	if err != nil {
		return err
	}
	for i := range n { // an entry takes about a kilobyte
		fmt.Printf("%s peer=%d height=%d: %s\n",
			time.Now().Format(time.RFC3339Nano), i, i*7, strings.Repeat(strconv.Itoa(i), 40))
		if i%4 != 0 {
			continue
		}
		name := fmt.Sprintf("app%02d", i/4%30)
		message := fmt.Sprintf("%064x health_status (image=app, name=%s, health_status=healthy)", i%30, name)
		err := systemd.Send(message, systemd.PriInfo, map[string]string{
			"SYSLOG_IDENTIFIER": "podman", "PODMAN_EVENT": "health_status", "PODMAN_TYPE": "container",
			"PODMAN_NAME": name, "PODMAN_IMAGE": "localhost/app:1",
			"PODMAN_LABELS": `{"PODMAN_SYSTEMD_UNIT":"` + name + `.service"}`,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// readAll makes the requests of an assessment, and those of `boots`. Each comes
// first with a cold page cache, as after a boot, and then with a warm one.
func readAll(dead, this string) error {
	ctx := context.Background()
	r := journal.NewReader("archy-recovery.service", 0)
	type reading struct {
		what string
		read func() (string, error)
	}
	assess := []reading{
		{"BootEnd", func() (string, error) {
			end, err := r.BootEnd(ctx, dead, this)
			cause, _ := recover.ExplainHost(end)
			return fmt.Sprintf("%d entries, %s", len(end.Tail)+len(end.Next), cause), err
		}},
		{"Events, of the whole boot", func() (string, error) {
			events, err := r.Events(ctx, dead, 0, nil)
			return fmt.Sprintf("%d entries", len(events)), err
		}},
		{"ServiceEnd", func() (string, error) {
			entries, err := r.ServiceEnd(ctx, dead)
			return fmt.Sprintf("%d entries", len(entries)), err
		}},
	}
	boots := []reading{{"Boots, the last 10", func() (string, error) {
		boots, err := r.Boots(ctx, 10)
		return fmt.Sprintf("%d boots", len(boots)), err
	}}}
	for _, all := range [][]reading{assess, boots} {
		if err := cool(); err != nil {
			return err
		}
		for _, cache := range []string{"cold", "warm"} {
			var sum time.Duration
			for _, a := range all {
				began := time.Now()
				got, err := a.read()
				took := time.Since(began)
				sum += took
				if err != nil {
					got += ", " + err.Error()
				}
				fmt.Printf("  %-30s %s  %5.2f s  %s\n", a.what, cache, took.Seconds(), got)
			}
			fmt.Printf("  %-30s %s  %5.2f s  (target: under 2)\n", "together", cache, sum.Seconds())
		}
	}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	fmt.Printf("  %-30s %.1f MB (target: under 30)\n", "our process's largest RSS", float64(usage.Maxrss)/1000)
	return nil
}

// cool drops the journal from the page cache, as after a boot.
func cool() error {
	files, err := filepath.Glob("/var/log/journal/*/*")
	if err != nil {
		return err
	}
	if err := exec.Command("sync", slices.Concat([]string{"--"}, files)...).Run(); err != nil {
		return err
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
