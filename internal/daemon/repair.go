package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/diagnosis"
)

// A Mender changes what podman stores. It never uses force.
type Mender interface {
	// StoredNames lists podman's containers, and those that only its storage knows.
	StoredNames(ctx context.Context) ([]recover.StoredName, error)
	// ImageInfo is what podman knows of an image. ErrNoImage: nothing.
	ImageInfo(ctx context.Context, image string) (recover.ImageInfo, error)
	// RemoveContainer removes a container that does not run, and no volume.
	RemoveContainer(ctx context.Context, id string) error
}

// ErrRepairing means that a repair is under way.
var ErrRepairing = errors.New("a repair is under way already")

// ErrNotDamaged means that nothing is known to be damaged of the container that was named.
var ErrNotDamaged = errors.New("nothing of it is known to be damaged")

// byHand are the causes that podman's API has no call for, or whose cure stops everything.
var byHand = map[string]bool{"pause-process": true, "boot-id": true, "locks-exhausted": true, "database-damaged": true}

// A repairer mends what a crash damaged in podman's storage, when it is asked to.
type repairer struct {
	service *Service
	busy    sync.Mutex
}

// Repairs says what would mend each container that is down and damaged, or only the named
// one. It changes nothing. The storage is looked at anew. Errors are as for Repair.
func (s *Service) Repairs(ctx context.Context, name string) ([]recover.Repair, error) {
	return s.repairer.ask(ctx, name, func(*recover.Repair) {})
}

// Repair mends what Repairs shows, and starts what it mended. If the power fails on the way, the
// next repair goes on: a step is shown only while it is needed. ErrFrozen: recovery is not
// complete. ErrRepairing: another one is under way. ErrNotDamaged: there is nothing to mend of name.
func (s *Service) Repair(ctx context.Context, name string) ([]recover.Repair, error) {
	return s.repairer.ask(ctx, name, func(repair *recover.Repair) { s.repairer.do(ctx, repair) })
}

// ask plans the repairs and calls do for each. It does that once at a time, and not beside a
// recovery: a look at the storage reads much.
func (r *repairer) ask(ctx context.Context, name string, do func(*recover.Repair)) ([]recover.Repair, error) {
	if r.service.Phase() != recover.Ready {
		return nil, ErrFrozen
	}
	if !r.busy.TryLock() {
		return nil, ErrRepairing
	}
	defer r.busy.Unlock()
	repairs, err := r.plan(ctx, name)
	for i := range repairs {
		do(&repairs[i])
	}
	return repairs, err
}

func (r *repairer) plan(ctx context.Context, name string) ([]recover.Repair, error) {
	if name != "" {
		if err := recover.CheckName(name); err != nil {
			return nil, err
		}
	}
	w := r.service.world
	if w.Mender == nil || w.StorageUnits == nil {
		return nil, errors.New("there is no access to podman's storage")
	}
	root := w.storage.where()
	if root == "" {
		return nil, errors.New("it is not known yet where podman's storage is. Ask again when podman answers")
	}
	found, err := w.StorageUnits.Check(ctx, root)
	if err != nil {
		return nil, fmt.Errorf("the storage cannot be looked at: %w", err)
	}
	stored, err := w.Mender.StoredNames(ctx)
	if err != nil {
		return nil, fmt.Errorf("podman does not list its containers: %w", err)
	}
	status, _ := r.service.Status()
	repairs := []recover.Repair{}
	known := false
	for _, c := range status.Set.Containers {
		if name != "" && c.Name != name {
			continue
		}
		known = true
		row := recover.Row{Name: c.Name, Image: c.Image, Unit: c.Unit}
		if i := slices.IndexFunc(status.Recovery.Rows, func(r recover.Row) bool { return r.Name == c.Name }); i >= 0 {
			row = status.Recovery.Rows[i]
		}
		repair, damaged, err := r.planOne(ctx, row, found, stored)
		if err != nil {
			return nil, err
		}
		if damaged {
			repairs = append(repairs, repair)
		}
	}
	if name != "" && (!known || len(repairs) == 0) {
		return nil, fmt.Errorf("%s: %w", name, ErrNotDamaged)
	}
	return repairs, nil
}

// planOne plans the repair of one container, and reports whether anything of it is damaged.
func (r *repairer) planOne(
	ctx context.Context, row recover.Row, found recover.StorageCheck, stored []recover.StoredName,
) (recover.Repair, bool, error) {
	f := recover.RepairFacts{Name: row.Name}
	external := false
	for i, s := range stored {
		if s.Name == row.Name {
			f.Container, external = &stored[i], s.External
		}
	}
	if f.Container != nil && f.Container.Running {
		return recover.Repair{}, false, nil
	}
	reason, said := why(row)
	var damage *recover.Damage // of the image
	switch d := found.Image(row.Image); {
	case byHand[reason.Reason]:
		return recover.Repair{Container: row.Name, Fault: reason.Cause, Steps: []recover.RepairStep{},
			Refused: "podman's API cannot mend that. " + reason.Advice}, true, nil
	case d != nil:
		damage, f.ImageDamaged, f.Fault = d, true, "its image "+row.Image+" is damaged: "+d.Path+" "+d.What
	case f.Container != nil && found.Container(f.Container.ID) != nil:
		d := found.Container(f.Container.ID)
		f.ImageDamaged, f.Fault = d.Own == nil, "its own layer is damaged: "+d.Path+" "+d.What
		if f.ImageDamaged {
			damage, f.Fault = d, "the image that it was made from is damaged: "+d.Path+" "+d.What
		}
	case external:
		f.Fault = "its name is in use by a container that only podman's storage knows"
	case said && reason.Reason == diagnosis.ImageDamaged:
		f.ImageDamaged, f.Fault = true, reason.Cause
	default:
		return recover.Repair{}, false, nil
	}
	var err error
	if f.MakesAnew, err = r.makesAnew(ctx, row); err != nil {
		return recover.Repair{}, false, err
	}
	if f.ImageDamaged {
		r.learnImage(ctx, row, &f, damage, stored)
	}
	repair := recover.PlanRepair(f)
	if len(repair.Steps) > 0 {
		// Nothing is removed for a start that would not be made.
		if err := r.service.mayRetry(row.Name); err != nil {
			repair.Steps, repair.Refused = []recover.RepairStep{}, err.Error()
		}
	}
	return repair, true, nil
}

// why is why a row's container is down, as far as that was explained.
func why(row recover.Row) (recover.Explanation, bool) {
	last := row.LastAttempt()
	if last == nil || last.Why == nil || !row.State.NotRecovered() {
		return recover.Explanation{}, false
	}
	return *last.Why, true
}

// makesAnew reports whether a container's unit makes it anew at each start, and keeps nothing of
// the old one. What a unit does not show is no proof.
func (r *repairer) makesAnew(ctx context.Context, row recover.Row) (bool, error) {
	if row.Unit == "" || row.Generated {
		return false, nil
	}
	units, err := r.service.world.Systemd.ContainerUnits(ctx, []string{row.Unit})
	if err != nil {
		return false, fmt.Errorf("systemd does not say what %s runs: %w", row.Unit, err)
	}
	return slices.ContainsFunc(units, func(u recover.ContainerUnit) bool {
		return u.Unit == row.Unit && u.Container.Name == row.Name && u.Discards
	}), nil
}

// learnImage fills in what podman knows of the damaged image, what else uses it, and what else has
// the damage, nil if that is not known.
func (r *repairer) learnImage(
	ctx context.Context, row recover.Row, f *recover.RepairFacts, damage *recover.Damage, stored []recover.StoredName,
) {
	info, err := r.service.world.Mender.ImageInfo(ctx, row.Image)
	if err != nil {
		return // podman cannot read what is damaged
	}
	f.Image = &info
	for _, s := range stored {
		if s.ImageID == info.ID && s.Name != row.Name {
			f.Users = append(f.Users, s)
		}
	}
	if damage == nil {
		return
	}
	for _, image := range damage.Images {
		if image.ID != info.ID {
			f.Sharers = append(f.Sharers, imageNames(recover.Damage{Images: []recover.StoredImage{image}})...)
		}
	}
}

// do makes the steps of a repair. Each is in the journal.
func (r *repairer) do(ctx context.Context, repair *recover.Repair) {
	w := r.service.world
	for i := range repair.Steps {
		step := &repair.Steps[i]
		var err error
		if step.Kind == recover.RepairRemoveContainer {
			err = w.Mender.RemoveContainer(ctx, step.Target)
		} else {
			err = r.start(ctx, step.Target)
		}
		if err != nil {
			repair.Error = fmt.Sprintf("%s %s: %v", step.Kind, step.Target, err)
			w.Log.Error("a repair failed", "MESSAGE_ID", recover.MsgRepaired, "container", repair.Container,
				"step", string(step.Kind), "target", step.Target, "error", err)
			return
		}
		step.Done = true
		w.Log.Info("a step of a repair is done", "MESSAGE_ID", recover.MsgRepaired, "container", repair.Container,
			"step", string(step.Kind), "target", step.Target)
	}
}

// start has the engine start a container that was mended, or that the operator thinks so. Only
// its own recovery knows a container; what else is down is started by its unit.
func (r *repairer) start(ctx context.Context, name string) error {
	_, err := r.service.Retry(ctx, name)
	if errors.Is(err, ErrNotInRecovery) || errors.Is(err, ErrCannotRetry) {
		return fmt.Errorf("it is mended, and not started: %w. Start it with systemctl start, or with podman start", err)
	}
	return err
}
