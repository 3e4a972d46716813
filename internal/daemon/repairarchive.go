package daemon

import (
	"context"
	"fmt"
	"io"
	"slices"

	"archy-recovery/internal/recover"
)

// certain makes sure that the image of a repair comes before anything is removed for it. Instead of
// an archive that is damaged its registry is taken, if one gave it. It returns the step that would
// fail, and why.
func (r *repairer) certain(ctx context.Context, repair *recover.Repair) (recover.RepairStep, error) {
	w := r.service.world
	i := slices.IndexFunc(repair.Steps, func(s recover.RepairStep) bool {
		return s.Kind == recover.RepairPull || s.Kind == recover.RepairLoad
	})
	if i < 0 {
		return recover.RepairStep{}, nil
	}
	step := &repair.Steps[i]
	damaged := ""
	if step.Kind == recover.RepairLoad {
		err := r.checkArchive(step.Target)
		if err == nil {
			return recover.RepairStep{}, nil
		}
		err = fmt.Errorf("its archive %s cannot be used: %w", w.Archives.Path(step.Target), err)
		if repair.Registry == "" {
			return *step, err // it may be all that is left of the image, so it stays
		}
		w.Log.Warn("an image comes from its registry", "MESSAGE_ID", recover.MsgImpaired, "image", step.Target, "reason", err)
		damaged = step.Target
		*step = recover.RepairStep{Kind: recover.RepairPull, Target: repair.Registry}
	}
	if err := w.Mender.RegistryHas(ctx, step.Target); err != nil {
		return *step, fmt.Errorf("the registry does not give %s: %w", step.Target, err)
	}
	if damaged != "" {
		_ = w.Archives.Remove(damaged) // so that the image is kept anew; a later repair tries again
	}
	return recover.RepairStep{}, nil
}

// checkArchive reads the archive of an image.
func (r *repairer) checkArchive(id string) error {
	w := r.service.world
	archive, err := w.Archives.Open(id)
	if err != nil {
		return err
	}
	defer archive.Close()
	return w.Mender.CheckArchive(archive, id)
}

// load gets an image from its archive.
func (r *repairer) load(ctx context.Context, id string) error {
	w := r.service.world
	archive, err := w.Archives.Open(id)
	if err != nil {
		return err
	}
	defer archive.Close()
	size, err := archive.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = archive.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	if err := w.Mender.LoadImage(ctx, archive, size); err != nil {
		return err
	}
	if _, err := w.Mender.ImageInfo(ctx, id); err != nil {
		return fmt.Errorf("podman has loaded another image: %w", err)
	}
	return nil
}
