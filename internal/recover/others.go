package recover

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Others is asked who else starts containers at boot.
type Others interface {
	// Enabled reports whether the unit file is enabled; one that does not exist
	// is not.
	Enabled(ctx context.Context, unit string) (bool, error)
	// StartedByTargets lists those of the units that a target starts, as an
	// [Install] section has it.
	StartedByTargets(ctx context.Context, units []string) ([]string, error)
	// RestartsAlways reports whether the container name has --restart=always.
	RestartsAlways(ctx context.Context, name string) (bool, error)
}

// podmanRestart starts each container with --restart=always at boot.
const podmanRestart = "podman-restart.service"

// othersWithin bounds the questions about others, of which nothing waits for
// the answers.
const othersWithin = 60 * time.Second

// noteOthers adds a note for each of those who start containers at boot beside
// us: they know neither tiers nor who was stopped on purpose. It is asked once
// a run, after READY, and leaves all as it is: what they started counts as
// running.
func (s *Service) noteOthers(ctx context.Context) {
	if s.Others == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, othersWithin)
	defer cancel()
	notes, err := s.others(ctx)
	for _, note := range notes {
		s.addNote(note)
		s.Log.Warn(note, "MESSAGE_ID", MsgOthers)
	}
	if err != nil && ctx.Err() == nil {
		s.Log.Info("who else starts containers at boot is not known", "reason", err)
	}
}

func (s *Service) others(ctx context.Context) (notes []string, err error) {
	s.mu.Lock()
	var members []string
	for _, c := range s.set.Containers {
		if c.Unit != "" {
			members = append(members, c.Unit)
		}
	}
	s.mu.Unlock()
	byTargets, err := s.Others.StartedByTargets(ctx, members)
	if err != nil {
		return nil, err
	}
	if len(byTargets) > 0 {
		notes = append(notes, fmt.Sprintf("systemd itself starts at boot, in no order of tiers and also when user-stopped: %s. "+
			"To leave that to archy-recovery, take the [Install] section out", some(byTargets)))
	}
	enabled, err := s.Others.Enabled(ctx, podmanRestart)
	if err != nil || !enabled {
		return notes, err
	}
	list, err := s.Podman.List(ctx)
	if err != nil {
		return notes, err
	}
	var always []string
	for _, c := range list {
		is, err := s.Others.RestartsAlways(ctx, c.Name)
		if err != nil {
			continue // removed meanwhile
		}
		if is {
			always = append(always, c.Name)
		}
	}
	if len(always) > 0 {
		notes = append(notes, fmt.Sprintf("%s is enabled and starts at boot what has --restart=always, also when user-stopped: %s. "+
			"To leave that to archy-recovery: systemctl disable %[1]s (--user for a user's)", podmanRestart, some(always)))
	}
	return notes, nil
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
