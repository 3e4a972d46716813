package recover

import (
	"cmp"
	"fmt"
	"slices"
)

// A Repair is what mends a container whose image or layer a crash damaged, or the reason why
// it is left to the operator.
type Repair struct {
	Container string `json:"container"`
	// Fault is what is damaged, or what podman said.
	Fault string       `json:"fault"`
	Steps []RepairStep `json:"steps"`
	// Refused says why nothing is done, what would be lost, and what to do by hand.
	Refused string `json:"refused,omitempty"`
	// Error is why a step failed. The steps after it were not made.
	Error string `json:"error,omitempty"`
	// Registry is the reference by which its registry gives the image, by the digest that ran; empty
	// if none does.
	Registry string `json:"-"`
	// After is what Comes is of another repair that has to be made first, empty for none.
	After string `json:"-"`
}

// Repairs are what mends the containers of a host.
type Repairs struct {
	Repairs []Repair `json:"repairs"`
	// Unknown says what could not be looked at, and how to: there may be more to mend.
	Unknown []string `json:"unknown,omitempty"`
}

// A RepairStep is one change. Done is set once it was made.
type RepairStep struct {
	Kind   RepairKind `json:"kind"`
	Target string     `json:"target"`
	Done   bool       `json:"done,omitempty"`
}

// RepairKind is what a step changes.
type RepairKind string

// The kinds of steps, in the order in which they are made.
const (
	// RepairRemoveContainer removes a container that its unit makes anew, or that only the
	// storage knows. Its target is an ID.
	RepairRemoveContainer RepairKind = "remove-container"
	// RepairReserveName has the name of a damaged image lead to one without content. Without
	// it, a start between the next two steps would pull what the name means by now in the
	// registry. Its target is a name.
	RepairReserveName RepairKind = "reserve-name"
	// RepairRemoveImage removes an image that nothing else needs. Its target is an ID.
	RepairRemoveImage RepairKind = "remove-image"
	// RepairPull gets an image from its registry, by the digest that ran. Its target is the
	// reference with that digest.
	RepairPull RepairKind = "pull"
	// RepairLoad gets an image from its archive. Its target is the ID.
	RepairLoad RepairKind = "load"
	// RepairTag gives an image that has come its name. Its target is that.
	RepairTag RepairKind = "tag"
	// RepairStart starts the container by its unit.
	RepairStart RepairKind = "start"
)

// RepairKinds lists the kinds of steps.
func RepairKinds() []RepairKind {
	return []RepairKind{RepairRemoveContainer, RepairReserveName, RepairRemoveImage, RepairPull, RepairLoad,
		RepairTag, RepairStart}
}

// A RepairLevel is what the daemon repairs by itself after a crash of the host.
type RepairLevel string

// The values of Repair=.
const (
	RepairNothing    RepairLevel = "no"
	RepairContainers RepairLevel = "container" // containers that their units make anew
	RepairImages     RepairLevel = "image"     // images that come again from an archive or their registry, too
)

// Allows reports whether a repair may be made by itself: its steps change no more than that.
func (l RepairLevel) Allows(r Repair) bool {
	if l == RepairImages {
		return len(r.Steps) > 0
	}
	return l == RepairContainers && len(r.Steps) > 0 && r.Comes() == ""
}

// Comes is what an image is called by that a repair gets: the reference that it pulls, or the ID
// that it loads. It is empty if it gets none.
func (r Repair) Comes() string {
	for _, step := range r.Steps {
		if step.Kind == RepairPull || step.Kind == RepairLoad {
			return step.Target
		}
	}
	return ""
}

// Reserves is what the names of its image are reserved for.
func (r Repair) Reserves() Reserved {
	reserved := Reserved{Reference: cmp.Or(r.Registry, r.Comes())}
	for _, step := range r.Steps {
		switch step.Kind {
		case RepairRemoveImage:
			reserved.ID = step.Target
		case RepairTag:
			reserved.Names = append(reserved.Names, step.Target)
		}
	}
	return reserved
}

// ShareImages has each image come only once, where several containers of the repairs need it. The
// others only start after that.
func ShareImages(repairs []Repair) {
	coming := map[string]bool{}
	for i := range repairs {
		r := &repairs[i]
		image := r.Comes()
		if coming[image] {
			r.After = image
			r.Steps = slices.DeleteFunc(r.Steps, func(s RepairStep) bool {
				return s.Kind != RepairRemoveContainer && s.Kind != RepairStart
			})
		}
		coming[image] = image != ""
	}
}

// An ImageInfo is what podman knows of an image.
type ImageInfo struct {
	ID string
	// Names are its tags, and Digests its references with the digest that a registry gave it;
	// none if it was built, imported or loaded here.
	Names, Digests []string
	// Size is what its layers have, in bytes; about what an archive of it takes.
	Size int64
	// Reserved: it has no content, and keeps its names for an image that comes again.
	Reserved *Reserved
}

// Reserved is what a name was reserved for: the image with ID, which was damaged, all its Names, and
// the Reference by which its registry gives it, or the ID if none does. podman keeps them as labels
// of the image that has the name meanwhile. So a repair that was cut short can go on.
type Reserved struct {
	ID, Reference string
	Names         []string
}

// A StoredName is a container that exists, as podman or only its storage lists it.
type StoredName struct {
	ID, Name, ImageID string
	Running           bool
	// External: only the storage knows it. Foreign: buildah made it, and may still need it.
	External, Foreign bool
}

// RepairFacts are what a repair of one container is decided by.
type RepairFacts struct {
	Name, Fault string
	// MakesAnew: its unit makes the container anew at each start, and keeps nothing of the old one.
	MakesAnew bool
	// Container is the existing one of that name, nil without one.
	Container *StoredName
	// Image is its image if that is damaged, nil if it is not, or not known to podman.
	Image *ImageInfo
	// ImageDamaged: its image is damaged, whether podman knows that or not.
	ImageDamaged bool
	// Found: a look at the storage found the damage, so that all images are known that have it.
	Found bool
	// Unreserved are those of its names that have yet to be reserved before it is removed. Gone:
	// it was removed already.
	Unreserved []string
	Gone       bool
	// Archive is the file of an archive of the image, empty without one. Pinned: the container calls
	// the image by a digest of its registry, which one from an archive does not have.
	Archive string
	Pinned  bool
	// Users are the other containers of that image, and Sharers the other images that need what
	// is damaged: podman keeps a layer while one of them has it.
	Users   []StoredName
	Sharers []string
}

// PlanRepair says what mends a container. It removes nothing that holds data: a container
// whose unit does not make it anew holds what it wrote. An image is removed only if nothing else
// needs it, and it comes again: from its archive, or from the registry that gave it by the digest
// that ran, since a tag may mean another version by now, which could migrate a database. Otherwise
// the words say what would help.
func PlanRepair(f RepairFacts) Repair {
	r := Repair{Container: f.Name, Fault: f.Fault, Steps: []RepairStep{}}
	switch {
	case f.Container != nil && f.Container.Running:
		r.Refused = "it runs: nothing is done while it does"
	case f.Container != nil && f.Container.Foreign:
		r.Refused = fmt.Sprintf("buildah made the container that has its name. Lost would be what was built in it. "+
			"See it with podman ps --all --external. To give it up: podman rm %.12s; archy-recovery retry %s",
			f.Container.ID, f.Name)
	case f.Container != nil && !f.MakesAnew:
		r.Refused = fmt.Sprintf("no unit makes it anew. Lost would be all that it wrote outside of volumes since it "+
			"was created. To give that up: podman rm %.12s, get its image anew if that is damaged, and create it again",
			f.Container.ID)
	case f.ImageDamaged && !f.imageComesAgain():
		r.Refused = imageByHand(f)
	case f.ImageDamaged:
		r.Steps = imageSteps(f)
		if len(f.Image.Digests) > 0 {
			r.Registry = f.Image.Digests[0]
		}
	case f.Container == nil:
		r.Refused = "nothing is left to remove: see what podman says at its start, with archy-recovery retry " + f.Name
	default:
		r.Steps = []RepairStep{
			{Kind: RepairRemoveContainer, Target: f.Container.ID},
			{Kind: RepairStart, Target: f.Name},
		}
	}
	return r
}
