package main

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// An owner of plain containers, whose instance of archy-recovery recovers them.
type owner struct {
	uid        int
	adjective  string
	fleets     []int
	unit, data string
	scope      []string // of systemctl
	instance   []string // of archy-recovery
}

var (
	root = owner{adjective: "rootful", fleets: []int{30, 100, 300}, unit: unit, data: dataDir}
	// crun makes a keyring for each container, and the kernel allows a user 200 (kernel.keys.maxkeys).
	user = owner{uid: machine.User, adjective: "rootless", fleets: []int{30, 100}, unit: userUnit,
		data:  dataDir + strconv.Itoa(machine.User) + "/",
		scope: []string{"--user"}, instance: []string{"--uid", strconv.Itoa(machine.User)}}
)

func plainRow(b *bench, r *Result)     { root.plain(b, r) }
func plainUserRow(b *bench, r *Result) { user.plain(b, r) }

// plain compares archy-recovery with podman-restart.service for containers without units:
// the time until all are ready, and the CPU time of the whole machine for it.
func (o owner) plain(b *bench, r *Result) {
	m := newMachine(b)
	r.With += tools(m)
	r.Title = fmt.Sprintf("Plain containers, %s, in %d tiers", o.adjective, tiers)
	m.MustRun("systemctl", "start", o.unit) // systemd makes the data directory
	m.MustRun("systemctl", "stop", o.unit)
	for _, many := range o.fleets {
		f := trivial()[:0]
		for i := range many {
			f = append(f, member{socket: fmt.Sprintf("plain%03d", i), tier: i % tiers})
		}
		names := f.plain(m.As(o.uid), "podman", "", "--restart=always")
		o.fleet(b, r, m, f, names)
		m.As(o.uid).MustRun(append([]string{"podman", "rm", "--force", "--time=0"}, names...)...)
	}
	r.note("podman-restart.service starts all containers with one podman and in no order. CPU time is that of the " +
		"machine's services, from the begin of the start until all containers are ready, and 3 s more.")
}

// fleet adds the figures of one fleet of plain containers.
func (o owner) fleet(b *bench, r *Result, m *machine.Machine, f fleet, names []string) {
	var set []string
	for i, name := range names {
		set = append(set, fmt.Sprintf(`{"name":%q,"image":%q,"tier":%d}`, name, machine.Image, f[i].tier))
	}
	files := savedState{
		"running-containers.json": `{"timestamp":1,"containers":[` + strings.Join(set, ",") + `]}`,
		"archipelago.pid":         "1\n",
	}
	own := contender{name: ours, start: []string{"systemctl", "start", o.unit}, ready: f.sockets(),
		prepare: func() {
			for _, name := range []string{"in-flight.json", "quarantine.json", "running-containers.json.previous"} {
				m.Remove(path.Join(o.data, name))
			}
			for name, text := range files {
				m.WriteFile(path.Join(o.data, name), text, 0o644, o.uid)
			}
		},
		check: func(time.Time) { o.wantUp(b, m, len(f)) }}
	peer := contender{name: "podman-restart.service", uid: o.uid, ready: f.sockets(),
		start: slices.Concat([]string{"systemctl"}, o.scope, []string{"start", "podman-restart.service"})}
	var cpu [2][]float64
	for i, c := range []*contender{&own, &peer} {
		check, before := c.check, 0.0
		c.booted = func() { before = cpuTime(b, m) }
		c.check = func(began time.Time) {
			time.Sleep(3 * time.Second) // what is left behind READY counts, too
			cpu[i] = append(cpu[i], cpuTime(b, m)-before)
			if check != nil {
				check(began)
			}
		}
	}
	trials := compare(b, m, own, peer)
	what := fmt.Sprintf("%d %s plain containers", len(f), o.adjective)
	r.claimAtMost(what+", all ready, against podman-restart.service", "≤ 1.10", "",
		ratios(figures(trials[0], allReady(f)), figures(trials[1], allReady(f))), 1.10)
	r.claimAtMost(what+", CPU time of the machine, against the same", "≤ 1.20", "", ratios(cpu[0], cpu[1]), 1.20)
	each := fmt.Sprintf("%d containers", len(f)) // the title says which
	r.draw(ours+", "+each+", all ready", "s", figures(trials[0], allReady(f)))
	r.draw("podman-restart.service, "+each+", all ready", "s", figures(trials[1], allReady(f)))
	r.add(ours+", "+each+", READY", "s", figures(trials[0], returned))
	r.add(ours+", "+each+", CPU time", "s", cpu[0])
	r.add("podman-restart.service, "+each+", CPU time", "s", cpu[1])
}

// wantUp ends the measurement if not so many containers of the owner are up.
func (o owner) wantUp(b *bench, m *machine.Machine, want int) {
	var st control.Status
	text := m.MustRun(slices.Concat([]string{"archy-recovery"}, o.instance, []string{"status", "--json"})...)
	if err := json.Unmarshal([]byte(text), &st); err != nil {
		b.t.Fatalf("status: %v", err)
	}
	up := slices.DeleteFunc(st.Containers, func(row recover.Row) bool { return row.State != recover.RowUp })
	if len(up) != want {
		b.t.Fatalf("%d of %d containers are up", len(up), want)
	}
}

// cpuTime returns the CPU time of the machine since its boot, in seconds: of its services, its
// users and its containers (cgroups(7), cpu.stat).
func cpuTime(b *bench, m *machine.Machine) float64 {
	text := m.MustRun("sh", "-c", "cd /sys/fs/cgroup; cat init.scope/cpu.stat *.slice/cpu.stat")
	var sum float64
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if i := slices.Index(fields, "usage_usec"); i == 0 {
			usec, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				b.t.Fatalf("cpu.stat: %v", err)
			}
			sum += usec / 1e6
		}
	}
	return sum
}
