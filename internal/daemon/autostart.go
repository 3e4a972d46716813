package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/survey"
)

// podmanRestart starts the containers with certain restart policies at boot.
const podmanRestart = "podman-restart.service"

// autostartWithin bounds the questions about what else starts containers. Nothing
// waits for the answers.
const autostartWithin = 60 * time.Second

// noteAutostart adds a note for each other part of the system that starts
// containers at boot: it knows neither tiers nor the user-stopped list. It asks
// once a run, after READY, and changes nothing: what was started so counts as
// running.
func (s *Service) noteAutostart(ctx context.Context) {
	if s.world.Autostart == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, autostartWithin)
	defer cancel()
	notes, err := s.world.autostarts(ctx, survey.Units(s.board.currentSet().Containers))
	for _, note := range notes {
		s.board.addNote(note)
		s.world.Log.Warn(note, "MESSAGE_ID", recover.MsgOthers)
	}
	if err != nil && ctx.Err() == nil {
		s.world.Log.Info("it is not known what else starts containers at boot", "reason", err)
	}
}

// volatileJournal is the note for a journal that is kept in memory only.
const volatileJournal = "the journal is kept in memory only: after a crash neither the cause is known, nor what " +
	"happened while this service was down. To keep it on disk, write two lines, [Journal] and Storage=persistent, to " +
	"/etc/systemd/journald.conf.d/90-persistent.conf, and then: systemctl restart systemd-journald; journalctl --flush"

// noteVolatile adds a note if the journal does not outlive the boot. By READY journald has
// moved it to disk where it may.
func (s *Service) noteVolatile() {
	if !s.world.Journal.Volatile() {
		return
	}
	s.board.change(func() { s.board.volatile = true })
	s.board.addNote(volatileJournal)
	s.world.Log.Warn(volatileJournal, "MESSAGE_ID", recover.MsgImpaired)
}

// autostarts returns the notes; units are those of the set's members.
func (w World) autostarts(ctx context.Context, units []string) (notes []string, err error) {
	byTargets, err := w.Autostart.StartedByTargets(ctx, units)
	if err != nil {
		return nil, err
	}
	if len(byTargets) > 0 {
		notes = append(notes, fmt.Sprintf("systemd itself starts at boot, "+
			"in no order of tiers and also when user-stopped: %s. "+
			"To leave that to archy-recovery, remove the [Install] section from the .container file and run "+
			"%[2]s daemon-reload; for a unit that is no Quadlet: %[2]s disable UNIT", some(byTargets), w.systemctl()))
	}
	enabled, err := w.Autostart.Enabled(ctx, podmanRestart)
	if err != nil || !enabled {
		return notes, err
	}
	list, err := w.Podman.List(ctx)
	if err != nil {
		return notes, err
	}
	var started []string
	for _, c := range list {
		if w.restartsAtBoot(ctx, c.Name) {
			started = append(started, c.Name)
		}
	}
	if len(started) > 0 {
		notes = append(notes, fmt.Sprintf("%s is enabled and starts at boot what has --restart=always, or since podman 5.8 "+
			"--restart=unless-stopped, in no order of tiers and also when user-stopped: %s. "+
			"To leave that to archy-recovery: %s disable %[1]s", podmanRestart, some(started), w.systemctl()))
	}
	return notes, nil
}

// restartsAtBoot reports whether podman-restart.service starts a container. It is false for
// one that was removed meanwhile, or that podman does not answer for in time.
func (w World) restartsAtBoot(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, survey.AnswerWithin)
	defer cancel()
	starts, err := w.Autostart.RestartsAtBoot(ctx, name)
	return err == nil && starts
}

// systemctl is the command for the manager of the containers.
func (w World) systemctl() string {
	if w.Rootless {
		return "systemctl --user"
	}
	return "systemctl"
}

// some names the first few, sorted.
func some(names []string) string {
	const few = 5
	names = slices.Sorted(slices.Values(names))
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}
