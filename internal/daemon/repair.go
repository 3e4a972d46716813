package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

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
	// RegistryHas asks the registry for an image, and changes nothing.
	RegistryHas(ctx context.Context, reference string) error
	// ReserveName has a name lead to an image without content, which says what it is reserved for.
	ReserveName(ctx context.Context, name string, r recover.Reserved) error
	// RemoveImage removes an image that no container uses and that has no name any more, or one.
	RemoveImage(ctx context.Context, id string) error
	// PullImage gets an image from its registry. It may take long.
	PullImage(ctx context.Context, reference string) error
	// SaveImage writes the archive of an image, and LoadImage gets an image from its archive, of that
	// size in bytes. CheckArchive says whether an archive has all of the image with an ID.
	SaveImage(ctx context.Context, id string, w io.Writer) error
	LoadImage(ctx context.Context, archive io.ReadSeeker, size int64) error
	CheckArchive(archive io.Reader, id string) error
	// TagImage gives an image a name, also if another image has that.
	TagImage(ctx context.Context, reference, name string) error
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
func (s *Service) Repairs(ctx context.Context, name string) (recover.Repairs, error) {
	return s.repairer.ask(ctx, name, func(*recover.Repair) {})
}

// Repair mends what Repairs shows, and starts what it mended. If the power fails on the way, the
// next repair goes on: a step is shown only while it is needed. ErrFrozen: recovery is not
// complete. ErrRepairing: another one is under way. ErrNotDamaged: there is nothing to mend of name.
//
// A client that does not wait for the end does not end it: an image would come by half.
func (s *Service) Repair(ctx context.Context, name string) (recover.Repairs, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), RepairWithin)
	defer cancel()
	return s.repairer.ask(ctx, name, s.repairer.doer(ctx))
}

// RepairWithin bounds a repair: an image may have to come over a slow line.
const RepairWithin = time.Hour

// ask plans the repairs and calls do for each. It does that once at a time, and not beside a
// recovery: a look at the storage reads much.
func (r *repairer) ask(ctx context.Context, name string, do func(*recover.Repair)) (recover.Repairs, error) {
	if r.service.Phase() != recover.Ready {
		return recover.Repairs{}, ErrFrozen
	}
	if !r.busy.TryLock() {
		return recover.Repairs{}, ErrRepairing
	}
	defer r.busy.Unlock()
	plan, err := r.plan(ctx, name)
	for i := range plan.Repairs {
		do(&plan.Repairs[i])
	}
	return plan, err
}

func (r *repairer) plan(ctx context.Context, name string) (plan recover.Repairs, err error) {
	if name != "" {
		if err := recover.CheckName(name); err != nil {
			return plan, err
		}
	}
	w := r.service.world
	if w.Mender == nil || w.StorageUnits == nil {
		return plan, errors.New("there is no access to podman's storage")
	}
	root := w.storage.where()
	if root == "" {
		return plan, errors.New("it is not known yet where podman's storage is. Ask again when podman answers")
	}
	found, err := w.StorageUnits.Check(ctx, root)
	if err != nil {
		return plan, fmt.Errorf("the storage cannot be looked at: %w", err)
	}
	lost := r.service.networks.look(ctx)
	stored, err := w.Mender.StoredNames(ctx)
	if err != nil {
		return plan, fmt.Errorf("podman does not list its containers: %w", err)
	}
	r.service.networks.tell(lost, stored)
	plan.Repairs, err = r.planAll(ctx, name, found, stored)
	if err != nil {
		return plan, err
	}
	for _, n := range lost.Repairs(stored) {
		if name == "" || n.Container == name {
			plan.Repairs = append(plan.Repairs, n)
		}
	}
	if lost.Unknown != "" {
		plan.Unknown = append(plan.Unknown, "whether the rules of podman's networks are there: "+lost.Unknown)
	}
	switch {
	case name != "" && len(plan.Repairs) == 0 && !found.Complete:
		return plan, fmt.Errorf("%s: %w, and not all was looked at. See all with archy-recovery storage check %s",
			name, ErrNotDamaged, root)
	case name != "" && len(plan.Repairs) == 0:
		return plan, fmt.Errorf("%s: %w", name, ErrNotDamaged)
	case !found.Complete:
		plan.Unknown = append(plan.Unknown, "what else is damaged in podman's storage: not all of it was "+
			"looked at. See all with archy-recovery storage check "+root)
	}
	return plan, nil
}

// planAll plans the repairs of what a crash damaged in the storage, of the whole set or one of it.
func (r *repairer) planAll(
	ctx context.Context, name string, found recover.StorageCheck, stored []recover.StoredName,
) ([]recover.Repair, error) {
	status, _ := r.service.Status()
	repairs := []recover.Repair{}
	for _, c := range status.Set.Containers {
		if name != "" && c.Name != name {
			continue
		}
		row := recover.Row{Name: c.Name, Image: c.Image, Unit: c.Unit}
		if i := recover.IndexRow(status.Recovery.Rows, c.Name); i >= 0 {
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
	recover.ShareImages(repairs)
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
	image := r.imageOf(ctx, row, found)
	switch {
	case byHand[reason.Reason]:
		return recover.Repair{Container: row.Name, Fault: reason.Cause, Steps: []recover.RepairStep{},
			Refused: "podman's API cannot mend that. " + reason.Advice}, true, nil
	case image.reserved():
		f.ImageDamaged, f.Fault = true, "a repair of its image "+row.Image+" was cut short"
	case image.damage != nil:
		d := image.damage
		f.ImageDamaged, f.Fault = true, "its image "+row.Image+" is damaged: "+d.Path+" "+d.What
	case f.Container != nil && found.Container(f.Container.ID) != nil:
		d := found.Container(f.Container.ID)
		f.Fault = "its own layer is damaged: " + d.Path + " " + d.What
		if d.Own == nil { // its image by now is another one, if podman has one
			f.ImageDamaged, f.Fault = image.info == nil, "the image that it was made from is damaged: "+d.Path+" "+d.What
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
		r.learnImage(ctx, image, found, stored, &f)
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

// doer returns what makes one repair after the other.
func (r *repairer) doer(ctx context.Context) func(*recover.Repair) {
	failed := map[string]bool{} // what images are called by that did not come
	return func(repair *recover.Repair) {
		if failed[repair.After] {
			repair.Error = repair.After + " did not come"
			return
		}
		image := repair.Comes() // by its registry, if its archive turns out to be damaged
		r.do(ctx, repair)
		if image != "" {
			failed[image] = repair.Error != ""
		}
	}
}

// do makes the steps of a repair. Each is in the journal.
func (r *repairer) do(ctx context.Context, repair *recover.Repair) {
	if step, err := r.certain(ctx, repair); err != nil {
		repair.Error = "nothing was changed: " + err.Error()
		r.tellFailed(*repair, step, err)
		return
	}
	for i := range repair.Steps {
		step := &repair.Steps[i]
		if err := r.step(ctx, *repair, *step); err != nil {
			repair.Error = fmt.Sprintf("%s %s: %v", step.Kind, step.Target, err)
			r.tellFailed(*repair, *step, err)
			return
		}
		step.Done = true
		r.service.world.Log.Info("a step of a repair is done", "MESSAGE_ID", recover.MsgRepaired,
			"container", repair.Container, "step", string(step.Kind), "target", step.Target)
	}
}

func (r *repairer) tellFailed(repair recover.Repair, step recover.RepairStep, err error) {
	r.service.world.Log.Error("a repair failed", "MESSAGE_ID", recover.MsgRepaired,
		"container", repair.Container, "step", string(step.Kind), "target", step.Target, "error", err)
}

// step makes one step.
func (r *repairer) step(ctx context.Context, repair recover.Repair, step recover.RepairStep) error {
	m := r.service.world.Mender
	switch step.Kind {
	case recover.RepairRemoveContainer:
		return m.RemoveContainer(ctx, step.Target)
	case recover.RepairReserveName:
		return m.ReserveName(ctx, step.Target, repair.Reserves())
	case recover.RepairRemoveImage:
		return m.RemoveImage(ctx, step.Target)
	case recover.RepairPull:
		return m.PullImage(ctx, step.Target)
	case recover.RepairLoad:
		return r.load(ctx, step.Target)
	case recover.RepairTag:
		return r.tag(ctx, repair.Comes(), step.Target)
	case recover.RepairStart:
		return r.start(ctx, step.Target)
	}
	return fmt.Errorf("no such step: %s", step.Kind)
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
