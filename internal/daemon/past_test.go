package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// A past is a host to which things happen, boot after boot, and what its operator wants.
type past struct {
	t       *testing.T
	host    *recovertest.Host
	restore bool // CleanBoot=restore

	boot   int
	soft   uint64
	mode   string
	events map[string][]loggedEvent // by boot
	tick   time.Duration            // the journal's clock

	starts  uint64 // of the daemon
	service *Service
	cancel  context.CancelFunc
	done    chan struct{}

	want map[string]wish
	// due names the containers that the recovery of this boot has to start, and that have
	// not run since the boot. clean: that was one after a clean stop.
	due   map[string]bool
	clean bool
	// unseen: the daemon may not have seen what runs. It may then take it for what it has
	// yet to start, also in later boots.
	unseen bool

	telling     sync.Mutex
	wrong, told []string
}

// A loggedEvent is an event in the journal of a boot.
type loggedEvent struct {
	recover.HostEvent
	at time.Duration
}

func newPast(t *testing.T, restore bool) *past {
	p := &past{t: t, host: recovertest.NewHost(), restore: restore, boot: 1, want: wishes(may),
		events: map[string][]loggedEvent{}, due: map[string]bool{onCleanBoot: true}, clean: true}
	for _, name := range pastNames {
		if name[0] == 'q' {
			p.host.Quadlet(name)
		} else {
			p.host.Plain(name, recover.StateExited)
		}
		p.host.Start[startUnit(name)] = func(ctx context.Context, _ int) (recover.Outcome, error) {
			return p.started(ctx, name)
		}
	}
	p.host.StoppedByUser = map[string]bool{}
	p.host.GraphRoot = disk + "/containers"
	p.host.OnList = func() error {
		p.host.Mu.Lock()
		defer p.host.Mu.Unlock()
		if len(p.host.NotMounted) > 0 {
			p.complain("podman was asked in %s while its storage was not mounted", p.bootID())
		}
		return p.host.PodmanErr
	}
	p.want[onCleanBoot] = must
	return p
}

// disk holds podman's storage.
const disk = "/disk"

// diskComes mounts podman's storage.
func (p *past) diskComes() {
	p.host.Mu.Lock()
	defer p.host.Mu.Unlock()
	if len(p.host.NotMounted) > 0 {
		p.host.NotMounted = nil
		close(p.host.Mounted)
	}
}

// hasDisk reports whether podman's storage is mounted.
func (p *past) hasDisk() bool {
	p.host.Mu.Lock()
	defer p.host.Mu.Unlock()
	return len(p.host.NotMounted) == 0
}

func unitOfPast(name string) string {
	if name[0] == 'p' {
		return ""
	}
	return name + ".service"
}

// startUnit is the unit that recovery starts.
func startUnit(name string) string {
	if name[0] == 'p' {
		return "container-" + name + ".service"
	}
	return name + ".service"
}

func (p *past) bootID() string { return fmt.Sprint("b", p.boot) }

// say writes to the journal.
func (p *past) say(lines string) {
	p.host.Mu.Lock()
	defer p.host.Mu.Unlock()
	for _, event := range recovertest.Story(lines) {
		p.tick += time.Second
		p.events[p.bootID()] = append(p.events[p.bootID()], loggedEvent{event, p.tick})
	}
}

// pastJournal is the journal of a past.
type pastJournal struct {
	recovertest.Journal
	past *past
}

func (j pastJournal) EventsOf(
	ctx context.Context, boot string, since time.Duration, _ []recover.Container,
) ([]recover.HostEvent, error) {
	return j.Events(ctx, boot, since, nil)
}

func (j pastJournal) Events(
	_ context.Context, boot string, since time.Duration, _ []string,
) ([]recover.HostEvent, error) {
	j.past.host.Mu.Lock()
	defer j.past.host.Mu.Unlock()
	var events []recover.HostEvent
	for _, e := range j.past.events[boot] {
		if e.at > since {
			events = append(events, e.HostEvent)
		}
	}
	return events, nil
}

func (j pastJournal) Now() time.Duration {
	j.past.host.Mu.Lock()
	defer j.past.host.Mu.Unlock()
	return j.past.tick
}

// begin starts the daemon.
func (p *past) begin(mode string) {
	p.mode = mode
	policy := recover.DefaultPolicy()
	policy.CleanBootList = recover.Patterns{onCleanBoot}
	policy.Tiers = map[int]recover.Patterns{0: {"p1", "q1"}}
	if p.restore {
		policy.CleanBoot = recover.CleanBootRestore
	}
	if mode == "off" || mode == "safe" {
		policy.Mode = recover.Mode(mode)
	}
	world := worldOf(p.host)
	world.Journal = pastJournal{recovertest.Journal{H: p.host}, p}
	p.host.Set(func() {
		p.unseen = p.unseen || !p.canLook()
		p.host.WatchErr, p.host.Changes = nil, nil
		p.host.InFlight, p.host.Quarantine = recover.InFlight{}, nil // suspicion has its own tests
	})
	p.starts++
	p.service = New(world, policy, recover.Identity{BootID: p.bootID(), SoftReboots: p.soft, PID: 1, StartTime: p.starts})
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(p.t.Context())
	p.done = make(chan struct{})
	service, done := p.service, p.done
	go func() {
		defer close(done)
		_ = service.Run(ctx)
	}()
	synctest.Wait()
}

// stop stops the daemon in order.
func (p *past) stop() {
	p.cancel()
	<-p.done
	synctest.Wait()
	p.host.Mu.Lock()
	marker := p.host.Marker
	p.host.Mu.Unlock()
	p.tell("the daemon stopped, the marker is %+v", marker)
}

// kill kills the daemon: it writes nothing any more.
func (p *past) kill() {
	p.host.Set(func() { p.host.Dead = true })
	p.cancel()
	<-p.done
	p.service.suspects.flight.Close()
	synctest.Wait()
	p.host.Set(func() { p.host.Dead = false })
	for name, w := range p.want { // the next run starts what is down
		p.due[name] = p.due[name] || w == must && !p.runs(name)
	}
	maps.DeleteFunc(p.due, func(_ string, due bool) bool { return !due })
}

// started is what a start by recovery does.
func (p *past) started(ctx context.Context, name string) (recover.Outcome, error) {
	if p.want[name] == mustNot && !p.runs(name) {
		p.complain("%s was stopped, and was started in %s", name, p.bootID())
	}
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return recover.Outcome{}, ctx.Err()
	}
	if p.runs(name) {
		return recovertest.Up, nil
	}
	p.say("start " + name + " " + unitOfPast(name))
	p.tell("recovery starts %s", name)
	p.host.Set(func() { p.host.StoppedByUser[name] = false })
	if unitOfPast(name) == "" {
		return recovertest.Begun, nil
	}
	return recovertest.Up, nil
}

func (p *past) runs(name string) bool {
	p.host.Mu.Lock()
	defer p.host.Mu.Unlock()
	return p.host.Sightings[name].Running()
}

// noteRunning takes from due what runs.
func (p *past) noteRunning() {
	for name := range p.due {
		if p.runs(name) || p.want[name] != must {
			delete(p.due, name)
			p.unseen = true
		}
	}
}

// noteSeen notes that the daemon has looked, if it could.
func (p *past) noteSeen() {
	rows := p.rows()
	p.host.Mu.Lock()
	defer p.host.Mu.Unlock()
	if p.mode == "off" || !p.canLook() {
		return
	}
	p.unseen = false
	for _, row := range rows {
		if row.State.NotRecovered() && !p.host.Sightings[row.Name].Running() {
			p.unseen = true // it is not tried again in this run
		}
	}
}

// canLook reports whether the daemon can see what runs, and what it may start. Mu is held.
func (p *past) canLook() bool {
	return p.host.PodmanErr == nil && p.host.UserStoppedErr == nil && len(p.host.NotMounted) == 0
}

// changed tells the daemon that a unit or scope has changed.
func (p *past) changed() {
	p.host.Mu.Lock()
	defer p.host.Mu.Unlock()
	select {
	case p.host.Changes <- struct{}{}:
	default:
	}
}

// shows sets what podman and systemd show of a container.
func (p *past) shows(name string, state recover.ContainerState, code int, active string) {
	unit := unitOfPast(name)
	p.host.Set(func() {
		c := recover.Container{Name: name, Image: "image", Unit: unit}
		p.host.Sightings[name] = recover.Sighting{Container: c, State: state, ExitCode: code}
		if unit != "" {
			p.host.States[unit] = recover.UnitState{Loaded: true, Active: active}
			if active != "active" {
				delete(p.host.Sightings, name)
			}
		}
	})
}

func (p *past) userStarts(name string) {
	if p.runs(name) || p.service.Phase() != recover.Ready || !p.hasDisk() {
		return // one of both starts it
	}
	p.say("start " + name + " " + unitOfPast(name))
	p.shows(name, recover.StateRunning, 0, "active")
	p.host.Set(func() { p.host.StoppedByUser[name] = false })
	if p.listed()[name] {
		p.want[name] = mustNot // not automatically
	} else {
		p.want[name] = must
	}
	p.tell("the user starts %s", name)
	p.changed()
	time.Sleep(time.Second) // of the bubble's time: a container that nobody ever saw run is no member
	synctest.Wait()
}

func (p *past) userStops(name string) {
	if !p.runs(name) {
		return
	}
	if unit := unitOfPast(name); unit != "" {
		p.say(strings.NewReplacer("UNIT", unit, "NAME", name).Replace(
			"stopping UNIT; died NAME 0; remove NAME; ended UNIT; stopped UNIT"))
	} else {
		p.say("died " + name + " 143")
	}
	p.shows(name, recover.StateExited, 143, "inactive")
	p.host.Set(func() { p.host.StoppedByUser[name] = true })
	p.want[name] = mustNot
	delete(p.due, name)
	p.unseen = true
	p.tell("the user stops %s", name)
	p.changed()
}

// fails has a container end badly by itself. It is to run again after a crash.
func (p *past) fails(name string) {
	if !p.runs(name) {
		return
	}
	p.noteRunning()
	if unit := unitOfPast(name); unit != "" {
		p.say(fmt.Sprintf("died %s 1; remove %[1]s; failed %s", name, unit))
	} else {
		p.say("died " + name + " 1")
	}
	p.shows(name, recover.StateExited, 1, "failed")
	p.tell("%s fails", name)
	p.changed()
}

// edit changes the user-stopped list, as another program does.
func (p *past) edit(name string, stopped bool) {
	p.host.Mu.Lock()
	defer p.host.Mu.Unlock()
	if p.host.UserStoppedErr != nil || stopped == slices.Contains(p.host.UserStopped, name) {
		return
	}
	p.host.UserStopped = slices.DeleteFunc(slices.Clone(p.host.UserStopped), func(n string) bool { return n == name })
	p.want[name] = may // it may be in the set still
	if stopped {
		p.host.UserStopped = append(p.host.UserStopped, name)
		p.want[name] = mustNot
	}
	delete(p.due, name)
}

// repair makes a lost user-stopped list readable, as it was or as an empty one.
func (p *past) repair(empty bool) {
	p.host.Mu.Lock()
	defer p.host.Mu.Unlock()
	if p.host.UserStoppedErr == nil {
		return
	}
	p.host.UserStoppedErr = nil
	if empty {
		for _, name := range p.host.UserStopped {
			p.want[name] = may
		}
		p.host.UserStopped = nil
	}
}

func (p *past) podmanComes(comes bool) {
	p.host.Set(func() {
		p.host.PodmanErr = nil
		if !comes {
			p.host.PodmanErr = recovertest.ErrBroken
		}
	})
	if comes {
		p.changed()
	}
}

// crash cuts the power, and boots again.
func (p *past) crash(mode string) {
	p.kill()
	p.boot, p.soft = p.boot+1, 0
	p.bootAgain()
	p.findDisk(mode)
	p.recoveryIsDue(false)
	p.begin(mode)
}

// reboot shuts the host down in order, and boots it again. A soft-reboot keeps the boot
// ID. Containers and the daemon are stopped side by side.
func (p *past) reboot(mode string, containersFirst, soft bool) {
	p.noteRunning()
	p.host.Set(func() {
		p.host.Down = true
		p.host.States[shutdownTarget] = recover.UnitState{Loaded: true, Active: "inactive", Job: "start"}
	})
	p.say("shutdown")
	if containersFirst {
		p.goDown()
		p.changed()
		synctest.Wait()
		time.Sleep(time.Second)
	}
	finished := p.service.Phase() == recover.Ready
	p.stop()
	if !containersFirst {
		p.goDown()
	}
	if soft {
		p.soft++
		p.say("host-up")
	} else {
		p.boot, p.soft = p.boot+1, 0
	}
	p.bootAgain()
	if !soft {
		p.findDisk(mode)
	}
	p.afterReboot(finished)
	p.begin(mode)
}

// isolate changes to rescue.target, which ends all containers and the daemon, and back.
func (p *past) isolate() {
	p.host.Set(func() {
		p.host.LeftTarget = true
		p.host.States[multiUserTarget] = recover.UnitState{Loaded: true, Active: "active", Job: "stop"}
	})
	p.say("manager-ends")
	p.goDown()
	p.changed()
	synctest.Wait()
	p.stop()
	p.host.Set(func() {
		p.host.LeftTarget = false
		delete(p.host.States, multiUserTarget)
	})
	p.say("host-up")
	p.recoveryIsDue(false)
	p.begin(p.mode)
}

// findDisk says whether podman's storage is mounted in a new boot.
func (p *past) findDisk(mode string) {
	p.host.Set(func() {
		p.host.NotMounted = nil
		if mode == withoutDisk {
			p.host.NotMounted, p.host.Mounted = []string{disk}, make(chan struct{})
		}
	})
}

// afterReboot changes what the operator expects: after a clean stop the clean-boot list
// runs, and nothing else. But what recovery owed, it owes still.
func (p *past) afterReboot(finished bool) {
	owes := len(p.due) > 0 || !finished
	if onlyListed := len(p.due) == 1 && p.due[onCleanBoot]; onlyListed && finished && !p.restore {
		owes = false // each boot starts it
	}
	switch {
	case p.restore, owes && !p.clean:
		p.recoveryIsDue(p.restore && !owes)
		return
	case owes: // the rest of the clean-boot list; what ran may run again
		unsure := p.want[onCleanBoot] != must // after a crash it would not start if it was stopped
		for name, w := range p.want {
			if w == must {
				p.want[name] = may
			}
		}
		if unsure {
			p.want[onCleanBoot] = may
			p.recoveryIsDue(true)
			return
		}
	case p.unseen: // the daemon may take it for one that it owes
		for name, w := range p.want {
			if w == must || name == onCleanBoot {
				p.want[name] = may
			}
		}
		p.recoveryIsDue(true)
		return
	default:
		p.want = wishes(mustNot)
	}
	p.want[onCleanBoot] = must
	if p.listed()[onCleanBoot] {
		p.want[onCleanBoot] = mustNot
	}
	p.recoveryIsDue(true)
}

// recoveryIsDue: what should run has yet to be started.
func (p *past) recoveryIsDue(clean bool) {
	clear(p.due)
	for name, w := range p.want {
		if w == must {
			p.due[name] = true
		}
	}
	p.clean = clean
}

// goDown ends all containers with the host.
func (p *past) goDown() {
	for _, name := range pastNames {
		if !p.runs(name) {
			continue
		}
		if unit := unitOfPast(name); unit != "" {
			p.say(fmt.Sprintf("stopping %s; died %s 0; ended %[1]s; stopped %[1]s", unit, name))
		} else {
			p.say("died " + name + " 143")
		}
		p.shows(name, recover.StateExited, 0, "inactive")
	}
}

// bootAgain is what a boot finds: nothing runs.
func (p *past) bootAgain() {
	p.host.Mu.Lock()
	defer p.host.Mu.Unlock()
	p.host.Down = false
	clear(p.host.StoppedByUser)
	clear(p.host.States)
	clear(p.host.Tries)
	for unit := range p.host.Units {
		p.host.States[unit] = recover.UnitState{Loaded: true, Active: "inactive"}
	}
	for name, s := range maps.Clone(p.host.Sightings) {
		s.State, s.ExitCode = recover.StateExited, 0
		p.host.Sightings[name] = s
		if unitOfPast(name) != "" {
			delete(p.host.Sightings, name) // podman run --rm
		}
	}
}
