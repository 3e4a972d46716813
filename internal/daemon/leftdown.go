package daemon

import (
	"context"
	"fmt"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/survey"
)

// restoreExample is the drop-in that makes a clean boot start what ran before, as the
// package installs it.
const restoreExample = "/usr/share/doc/archy-recovery/examples/restore.conf"

// A leftDown tells the operator of what a clean boot does not start. The default is for a
// host on which another program starts the rest. On any other host nobody does.
type leftDown struct {
	world World
	board *board
	// containers ran before the shutdown, and the policy does not start them.
	containers []recover.Container
}

// tell finds out after READY which of the containers nothing else starts either. They are in
// the notes for as long as they are down.
func (l *leftDown) tell(ctx context.Context) {
	if len(l.containers) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, autostartWithin)
	defer cancel()
	names, err := l.nobodyStarts(ctx)
	if err != nil {
		if ctx.Err() == nil {
			l.world.Log.Info("it is not known which containers this boot left down", "reason", err)
		}
		return
	}
	if len(names) == 0 {
		return
	}
	l.board.change(func() { l.board.leftDown = names })
	l.world.Log.Warn(leftDownNote(names), "MESSAGE_ID", recover.MsgLeftDown, "containers", len(names))
}

// nobodyStarts names those that exist, do not run and are not on their way: no target and
// no podman-restart.service starts them.
func (l *leftDown) nobodyStarts(ctx context.Context) (names []string, err error) {
	units := survey.Units(l.containers)
	states, err := l.world.Systemd.States(ctx, units)
	if err != nil {
		return nil, err
	}
	list, err := l.world.Podman.List(ctx)
	if err != nil {
		return nil, err
	}
	others, err := l.startedByOthers(ctx, units)
	if err != nil {
		return nil, err
	}
	byName := recover.Sightings(list).ByName()
	for _, c := range l.containers {
		unit, seen := states[c.Unit], byName[c.Name]
		_, listed := byName[c.Name]
		exists := listed || unit.Loaded
		comes := seen.Running() || unit.Job != "" || unit.Active != "" && unit.Active != "inactive" && unit.Active != "failed"
		if exists && !comes && !others(ctx, c) {
			names = append(names, c.Name)
		}
	}
	return names, nil
}

// startedByOthers returns whether another part of the system starts a container at boot.
func (l *leftDown) startedByOthers(
	ctx context.Context, units []string,
) (func(context.Context, recover.Container) bool, error) {
	a := l.world.Autostart
	if a == nil {
		return func(context.Context, recover.Container) bool { return false }, nil
	}
	byTargets, err := a.StartedByTargets(ctx, units)
	if err != nil {
		return nil, err
	}
	enabled, err := a.Enabled(ctx, podmanRestart)
	if err != nil {
		return nil, err
	}
	started := map[string]bool{}
	for _, unit := range byTargets {
		started[unit] = true
	}
	return func(ctx context.Context, c recover.Container) bool {
		if c.Unit != "" && started[c.Unit] {
			return true
		}
		return enabled && l.world.restartsAtBoot(ctx, c.Name)
	}, nil
}

// leftDownNote says which containers a clean boot left down, and what changes that. It is
// empty without names.
func leftDownNote(names []string) string {
	if len(names) == 0 {
		return ""
	}
	ran := fmt.Sprintf("%d containers ran before the shutdown and were not started", len(names))
	if len(names) == 1 {
		ran = "1 container ran before the shutdown and was not started"
	}
	return fmt.Sprintf("%s: CleanBoot=list (%s). To start after each shutdown what ran before it: "+
		"install -D -m 644 %s -t /etc/archy-recovery.conf.d", ran, some(names), restoreExample)
}
