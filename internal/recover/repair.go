package recover

import (
	"fmt"
	"strings"
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
	// RepairStart starts the container by its unit.
	RepairStart RepairKind = "start"
)

// RepairKinds lists the kinds of steps.
func RepairKinds() []RepairKind {
	return []RepairKind{RepairRemoveContainer, RepairStart}
}

// An ImageInfo is what podman knows of an image.
type ImageInfo struct {
	ID string
	// Names are its tags, and Digests its references with the digest that a registry gave it;
	// none if it was built, imported or loaded here.
	Names, Digests []string
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
	// Users are the other containers of that image, and Sharers the other images that need what
	// is damaged: podman keeps a layer while one of them has it.
	Users   []StoredName
	Sharers []string
}

// PlanRepair says what mends a container. It removes nothing that holds data: a container
// whose unit does not make it anew holds what it wrote. It removes no image: the words say what
// would, with the digest that ran, since a tag may mean another version by now, which could
// migrate a database.
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
	case f.ImageDamaged:
		r.Refused = imageByHand(f)
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

// imageByHand says how the operator gets an image anew.
func imageByHand(f RepairFacts) string {
	if f.Image == nil {
		return "podman cannot read the image any more. Remove it, get it again (pull, build, load or import), and " +
			"then: archy-recovery retry " + f.Name
	}
	text := "the image has to come anew."
	if len(f.Users) > 0 {
		var users []string
		for _, u := range f.Users {
			users = append(users, u.Name)
		}
		text += " It is also used by " + strings.Join(users, " ") + ": podman removes it only when they are gone, " +
			"and what they wrote outside of volumes goes with them."
	}
	if len(f.Sharers) > 0 {
		text += " The damage is also in " + strings.Join(f.Sharers, " ") + ": as long as one of these images is " +
			"there, podman keeps what is damaged, and takes it for whole."
	}
	var commands []string
	if f.Container != nil {
		commands = append(commands, fmt.Sprintf("podman rm %.12s", f.Container.ID)) // its unit makes it anew
	}
	names := f.Image.Names
	if len(names) == 0 {
		names = []string{f.Image.ID}
	}
	commands = append(commands, "podman rmi "+strings.Join(names, " "))
	if len(f.Image.Digests) == 0 {
		commands = append(commands, "then build, load or import it again: no registry has it")
	} else {
		commands = append(commands, "podman pull "+f.Image.Digests[0])
		for _, name := range f.Image.Names {
			commands = append(commands, "podman tag "+f.Image.Digests[0]+" "+name)
		}
	}
	return text + " " + strings.Join(append(commands, "archy-recovery retry "+f.Name), "; ")
}
