package recover

import (
	"fmt"
	"strings"
)

// imageComesAgain reports whether the image can be removed and come again without a loss.
func (f RepairFacts) imageComesAgain() bool {
	return f.Image != nil && (len(f.Image.Digests) > 0 || f.fromArchive()) && (f.Found || f.Gone) &&
		len(f.Users) == 0 && len(f.Sharers) == 0
}

// fromArchive reports whether the image comes from its archive: that needs no network.
func (f RepairFacts) fromArchive() bool { return f.Archive != "" && !f.Pinned }

// imageSteps have a damaged image come again. At each moment its names lead to the damaged one, to
// one without content, or to the one that has come: no start pulls another version.
func imageSteps(f RepairFacts) (steps []RepairStep) {
	add := func(kind RepairKind, target string) { steps = append(steps, RepairStep{Kind: kind, Target: target}) }
	if f.Container != nil {
		add(RepairRemoveContainer, f.Container.ID)
	}
	for _, name := range f.Unreserved {
		add(RepairReserveName, name)
	}
	if !f.Gone {
		add(RepairRemoveImage, f.Image.ID)
	}
	if f.fromArchive() {
		add(RepairLoad, f.Image.ID)
	} else {
		add(RepairPull, f.Image.Digests[0])
	}
	for _, name := range f.Image.Names {
		add(RepairTag, name)
	}
	add(RepairStart, f.Name)
	return steps
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
	get, comes := "", ""
	switch {
	case f.fromArchive():
		get, comes = "podman load --input "+f.Archive, f.Image.ID
	case len(f.Image.Digests) > 0:
		get, comes = "podman pull "+f.Image.Digests[0], f.Image.Digests[0]
	default:
		get = "then build, load or import it again: no registry has it, and it was not kept (KeepImages=)"
	}
	commands = append(commands, get)
	for _, name := range f.Image.Names {
		if comes != "" {
			commands = append(commands, "podman tag "+comes+" "+name)
		}
	}
	return text + " " + strings.Join(append(commands, "archy-recovery retry "+f.Name), "; ")
}
