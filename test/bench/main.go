// Command bench compares archy-recovery with its alternatives on real machines, in
// the same run and on the same image. It writes the results to docs/benchmarks.md.
// `make bench` runs it. Figures are comparable only within one run: quote ratios.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"archy-recovery/test/machine"

	"golang.org/x/sys/unix"
)

// A bench holds the settings of all rows.
type bench struct {
	t      machine.TB
	deb    string
	rounds int
	idle   time.Duration
	before string // a program to compare with
	// known are the committed figures to compare with. The page is then not written.
	known []Result
}

// rows are in the order of the page. With five rounds, a row takes less than three
// minutes. Only the row "old" takes longer: the old module pauses for 87 s a round.
var rows = []struct {
	name string
	run  func(*bench, *Result)
}{
	{"trivial", trivialRow},
	{"slow", slowRow},
	{"old", oldRow},
	{"needs", needsRow},
	{"boot", bootRow},
	{"plain", plainRow},
	{"plain-user", plainUserRow},
	{"software", softwareRow},
	{"flicker", flickerRow},
	{"hung", hungRow},
	{"network", networkRow},
	{"readiness", readinessRow},
	{"fsyncs", fsyncsRow},
	{"tick", tickRow},
	{"durable", durableRow},
	{"sync", syncRow},
	{"answer", answerRow},
	{"fall", fallRow},
	{"scale", scaleRow},
	{"rss", rssRow},
	{"idle", idleRow},
	{"micro", microRow},
	{"pacing", pacingRow},
	{"before", beforeRow},
}

// rowIndex returns a row's place on the page, or -1 if there is no such row.
func rowIndex(name string) int { return slices.Index(rowNames(), name) }

func rowNames() (names []string) {
	for _, r := range rows {
		names = append(names, r.name)
	}
	return names
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == askVerb {
		ask()
		return
	}
	if len(os.Args) == 2 && os.Args[1] == writeVerb {
		if err := write(writeData); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 2 && os.Args[1] == killVerb {
		if err := kill(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	rounds := flag.Int("rounds", 5, "how often each figure is measured; medians are printed")
	idle := flag.Duration("idle", 2*time.Minute, "how long the idle daemon is watched")
	only := flag.String("only", "", "measure only these `rows`, separated by commas: "+strings.Join(rowNames(), ", "))
	check := flag.Bool("check", false, "write nothing: exit with 1 if a figure is worse than that in docs/benchmarks.json")
	before := flag.String("before", "", "compare with this `program` in the row before, which is measured only then")
	render := flag.Bool("render", false, "measure nothing: only write the page from docs/benchmarks.json")
	flag.Parse()
	if *render {
		if err := merge(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	deb := os.Getenv("ARCHY_DEB")
	if deb == "" {
		fmt.Fprintln(os.Stderr, "bench: ARCHY_DEB does not name the package to measure: run `make bench`")
		os.Exit(2)
	}
	wanted := slices.DeleteFunc(rowNames(), func(name string) bool { return name == "before" && *before == "" })
	if *only != "" {
		wanted = strings.Split(*only, ",")
	}
	b := bench{deb: deb, rounds: *rounds, idle: *idle, before: *before}
	if *check {
		known, err := committed()
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: there is nothing to compare with: %v\n", err)
			os.Exit(2)
		}
		b.known = known
		if *only == "" {
			wanted = slices.DeleteFunc(wanted, func(row string) bool {
				return !slices.ContainsFunc(known, func(r Result) bool { return r.Row == row && len(r.Claims) > 0 })
			})
		}
	}
	status := 0
	for _, name := range wanted {
		if rowIndex(name) < 0 {
			fmt.Fprintf(os.Stderr, "bench: there is no row %q, only %s\n", name, strings.Join(rowNames(), ", "))
			os.Exit(2)
		}
		status |= machine.Demo("bench", func(t machine.TB) {
			b := b
			b.t = t
			measure(&b, name)
		})
	}
	os.Exit(status)
}

// measure measures one row and puts it on the page.
func measure(b *bench, name string) {
	r := Result{Row: name, Rounds: b.rounds, When: time.Now().UTC().Format(time.DateOnly),
		Host: host(), With: versions(b.deb)}
	before := load()
	rows[rowIndex(name)].run(b, &r)
	r.Load = before + ", " + load()
	if b.known != nil {
		for _, line := range worse(b.known, r) {
			b.t.Errorf("worse: %s", line)
		}
	} else if err := merge(r); err != nil {
		b.t.Fatalf("%v", err)
	}
	for _, c := range r.Claims {
		fmt.Printf("%s (%s): %s (%s), met: %v\n", c.What, c.Target,
			number(median(c.Figures), c.Unit), spread(c.Figures, c.Unit), c.Met)
	}
	for _, s := range r.Series {
		fmt.Printf("  %-60s %s (%s)\n", s.Name, number(median(s.Figures), s.Unit), spread(s.Figures, s.Unit))
	}
	for _, n := range r.Notes {
		fmt.Println(" ", n)
	}
}

// host describes the host's CPUs and kernel.
func host() string {
	var name unix.Utsname
	_ = unix.Uname(&name)
	cpu := runtime.GOARCH
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			cpu = strings.TrimSpace(value)
			break
		}
	}
	// The vendor's suffix of the version has no meaning for a reader.
	version, _, _ := strings.Cut(unix.ByteSliceToString(name.Release[:]), "-")
	return fmt.Sprintf("%d CPUs (%s), Linux %s", runtime.NumCPU(), cpu, version)
}

// load returns the host's load average of the last minute.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// versions returns the versions of the package and of the machine's Debian.
func versions(deb string) string {
	out, err := exec.Command("dpkg-deb", "--field", deb, "Version").Output()
	if err != nil {
		return "archy-recovery"
	}
	text := "archy-recovery " + strings.TrimSpace(string(out))
	if commit, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		text += " (" + strings.TrimSpace(string(commit)) + ")"
	}
	return text + ", Debian 13"
}
