package daemon

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// examine returns the quarantined suspects with the image and the fingerprint that
// they have now.
func (s *suspects) examine(ctx context.Context, q recover.Quarantine, view recover.View) (now recover.Quarantine) {
	quarantined := []recover.Container{}
	for _, suspect := range q {
		if suspect.Quarantined {
			quarantined = append(quarantined, recover.Container{Name: suspect.Name})
		}
	}
	s.world.host().Include(ctx, &view, quarantined)
	for _, suspect := range q {
		if !suspect.Quarantined {
			continue
		}
		if suspect.Fingerprint == "" {
			suspect.Image = s.imageOf(suspect.Name)
		}
		suspect.Fingerprint = s.fingerprint(ctx, suspect, view)
		now = append(now, suspect)
	}
	return now
}

// secondChances takes out of quarantine the containers whose image or unit is
// another one now. They are still started alone, and the next crash quarantines
// them again. Called with mu held.
func (s *suspects) secondChances(q, examined recover.Quarantine) recover.Quarantine {
	for _, now := range examined {
		before, _ := q.Find(now.Name)
		switch {
		case now.Fingerprint == "" || now.Fingerprint == before.Fingerprint:
			continue
		case before.Fingerprint != "":
			s.world.Log.Warn("released from quarantine: its image or unit was changed",
				"MESSAGE_ID", recover.MsgReleased, "container", now.Name)
			now.Listed = s.entries.remove(now) != nil // if it stays there it is not the user's word
			now.Strikes, now.Quarantined, now.Fingerprint = 1, false, ""
			now.Lived, now.Doubts, now.NextTry = 0, 0, time.Time{}
		}
		q = q.With(now)
	}
	return q
}

// imageOf is the image of a member of the set, "" if it is not known.
func (s *suspects) imageOf(name string) string {
	for _, c := range s.board.currentSet().Containers {
		if c.Name == name {
			return c.Image
		}
	}
	return ""
}

// fingerprint is a digest of what a container is made of, "" if a part of that
// cannot be found out.
func (s *suspects) fingerprint(ctx context.Context, suspect recover.Suspect, view recover.View) string {
	c := view.Update(recover.Container{Name: suspect.Name, Image: suspect.Image})
	sighting, _ := view.Sighting(c.Name)
	parts := []string{sighting.ID}
	if unit := view.UnitOf(c.Name); unit != "" {
		definition, err := s.world.Systemd.Definition(ctx, unit)
		if err != nil {
			return ""
		}
		parts[0] = definition // each start of the unit makes another container
	}
	if c.Image != "" {
		image, err := s.world.Podman.ImageID(ctx, c.Image)
		if err != nil {
			return ""
		}
		parts = append(parts, image)
	}
	if parts[0] == "" {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(parts, "\n"))))[:16]
}
