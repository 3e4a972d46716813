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
	r.note("\"A unit each\" is one systemctl start of the units that archy-recovery generates, all at once. Where each " +
		"container has a unit, a job, a scope and a time limit of its own, a start costs at least that.")
	r.note("podman-restart.service starts all containers with one podman and in no order. CPU time is that of the " +
		"machine's services, from the begin of the start until all containers are ready, and 3 s more.")
}

// fleet adds the figures of one fleet of plain containers.
func (o owner) fleet(b *bench, r *Result, m *machine.Machine, f fleet, names []string) {
	own, floor := o.recovery(b, m, f, names), o.unitEach(m, f, names)
	peer := contender{name: "podman-restart.service", uid: o.uid, ready: f.sockets(), start: o.systemctl("start",
		"podman-restart.service"), prepare: floor.remove}
	contenders := []*contender{&own, &peer}
	if len(names) <= 100 { // of 300 the reader learns no more, and waits minutes
		contenders = append(contenders, &floor.contender)
	}
	prepare, check := own.prepare, own.check
	own.prepare = func() { floor.remove(); prepare() }
	own.check = func(began time.Time) { check(began); floor.learn() }
	cpu := make([][]float64, len(contenders))
	var all []contender
	for i, c := range contenders {
		check, before := c.check, 0.0
		c.booted = func() { before = cpuTime(b, m) }
		c.check = func(began time.Time) {
			time.Sleep(3 * time.Second) // what is left behind READY counts, too
			cpu[i] = append(cpu[i], cpuTime(b, m)-before)
			if check != nil {
				check(began)
			}
		}
		all = append(all, *c)
	}
	trials := compare(b, m, all...)
	floor.remove()
	what := fmt.Sprintf("%d %s plain containers", len(f), o.adjective)
	ready := make([][]float64, len(trials))
	for i := range trials {
		ready[i] = figures(trials[i], allReady(f))
	}
	r.claimAtMost(what+", all ready, against podman-restart.service", "≤ 1.10", "", ratios(ready[0], ready[1]), 1.10)
	r.claimAtMost(what+", CPU time of the machine, against the same", "≤ 1.20", "", ratios(cpu[0], cpu[1]), 1.20)
	each := fmt.Sprintf("%d containers", len(f)) // the title says which
	r.draw(ours+", "+each+", all ready", "s", ready[0])
	r.draw("podman-restart.service, "+each+", all ready", "s", ready[1])
	r.add(ours+", "+each+", READY", "s", figures(trials[0], returned))
	r.add(ours+", "+each+", CPU time", "s", cpu[0])
	r.add("podman-restart.service, "+each+", CPU time", "s", cpu[1])
	if len(trials) > 2 {
		r.add("a unit each, "+each+", all ready", "s", ready[2])
		r.add("a unit each, "+each+", CPU time", "s", cpu[2])
		r.add("a unit each against podman-restart.service, "+each+", all ready", "", ratios(ready[2], ready[1]))
		r.add("the same, CPU time", "", ratios(cpu[2], cpu[1]))
		r.add(ours+" against a unit each, "+each+", all ready", "", ratios(ready[0], ready[2]))
		r.add("the same, CPU time", "", ratios(cpu[0], cpu[2]))
	}
}

// systemctl is a command for the owner's manager.
func (o owner) systemctl(args ...string) []string {
	return slices.Concat([]string{"systemctl"}, o.scope, args)
}

// recovery returns archy-recovery as a contender. Each trial begins with the same state.
func (o owner) recovery(b *bench, m *machine.Machine, f fleet, names []string) contender {
	var set []recover.Container
	for i, name := range names {
		set = append(set, recover.Container{Name: name, Image: machine.Image, Tier: &f[i].tier})
	}
	saved := crashedWith(b.t, set)
	return contender{name: ours, start: []string{"systemctl", "start", o.unit}, ready: f.sockets(),
		prepare: func() {
			for _, name := range []string{"in-flight.json", "quarantine.json", "running-containers.json.previous"} {
				m.Remove(path.Join(o.data, name))
			}
			saved.write(m, o.data, o.uid)
		},
		check: func(time.Time) { o.wantUp(b, m, len(f)) }}
}

// A unitEach is the contender that starts the units that archy-recovery generates, and nothing
// else: no order, no assessment. What gives each container a unit of its own needs at least this.
type unitEach struct {
	contender
	m     *machine.Machine
	from  string            // the directory of the generated units
	files map[string]string // texts, by the path of the copy
	names []string
	uid   int
}

func (o owner) unitEach(m *machine.Machine, f fleet, names []string) *unitEach {
	u := &unitEach{m: m, from: "/run/systemd/system/", files: map[string]string{}, names: names, uid: o.uid}
	if o.uid != 0 {
		u.from = fmt.Sprintf("/run/user/%d/systemd/user/", o.uid)
	}
	args := []string{"start"}
	for _, name := range names {
		args = append(args, "each-"+name+".service")
	}
	u.contender = contender{name: "a unit each", uid: o.uid, ready: f.sockets(), start: o.systemctl(args...),
		prepare: func() {
			for file, text := range u.files {
				m.WriteFile(file, text, 0o644, 0)
			}
		}}
	return u
}

// learn keeps the generated units. They end with the boot.
func (u *unitEach) learn() {
	if len(u.files) > 0 {
		return
	}
	to := "/etc/systemd/system/"
	if u.uid != 0 {
		to = "/etc/systemd/user/"
	}
	for _, name := range u.names {
		text := u.m.MustRun("cat", u.from+"container-"+name+".service")
		u.files[to+"each-"+name+".service"] = text
	}
}

// remove removes the copies: archy-recovery would start them, not its own.
func (u *unitEach) remove() {
	for file := range u.files {
		u.m.Remove(file)
	}
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
