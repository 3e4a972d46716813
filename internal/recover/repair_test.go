package recover

import (
	"fmt"
	"strings"
	"testing"
)

// What would lose data, and what cannot come again, is refused.
func TestPlanRepair(t *testing.T) {
	image := &ImageInfo{ID: "img",
		Names: []string{"r.io/web:1", "r.io/web:latest"}, Digests: []string{"r.io/web@sha256:d"}}
	pinned := &ImageInfo{ID: "img", Digests: image.Digests}
	built := &ImageInfo{ID: "img", Names: []string{"localhost/web:1"}}
	web := &StoredName{ID: "w", Name: "web"}
	for name, test := range map[string]struct {
		f    RepairFacts
		want string
	}{
		"a Quadlet container is removed": {RepairFacts{MakesAnew: true, Container: web}, "remove-container w, start web"},
		"a name that only the storage knows is removed": {
			RepairFacts{MakesAnew: true, Container: &StoredName{ID: "w", Name: "web", External: true}},
			"remove-container w, start web"},
		"of a plain one that only the storage knows, too, what it wrote is left": {
			RepairFacts{Container: &StoredName{ID: "w", Name: "web", External: true}},
			"refused: no unit makes it anew. Lost would be"},
		"what buildah made is left": {
			RepairFacts{MakesAnew: true, Container: &StoredName{ID: "w", Name: "web", External: true, Foreign: true}},
			"refused: buildah made the container that has its name. Lost would be"},
		"a plain one is not": {RepairFacts{Container: web}, "refused: no unit makes it anew. Lost would be"},
		"nor one that runs": {RepairFacts{MakesAnew: true, Container: &StoredName{ID: "w", Running: true}},
			"refused: it runs"},
		"an image comes again by the digest that ran": {
			RepairFacts{MakesAnew: true, ImageDamaged: true, Image: image, Found: true, Unreserved: image.Names},
			"reserve-name r.io/web:1, reserve-name r.io/web:latest, remove-image img, pull r.io/web@sha256:d, " +
				"tag r.io/web:1, tag r.io/web:latest, start web"},
		"what is left of a container goes before its image": {
			RepairFacts{MakesAnew: true, ImageDamaged: true, Image: pinned, Found: true, Container: web},
			"remove-container w, remove-image img, pull r.io/web@sha256:d, start web"},
		"after a cut between two names": {
			RepairFacts{ImageDamaged: true, Image: image, Found: true, Unreserved: image.Names[1:]},
			"reserve-name r.io/web:latest, remove-image img, pull r.io/web@sha256:d, tag r.io/web:1, tag r.io/web:latest"},
		"after a cut before the pull": {RepairFacts{ImageDamaged: true, Image: image, Gone: true},
			"pull r.io/web@sha256:d, tag r.io/web:1, tag r.io/web:latest, start web"},
		"only podman says that it is damaged": {RepairFacts{MakesAnew: true, ImageDamaged: true, Image: image},
			"refused: the image has to come anew. podman rmi r.io/web:1 r.io/web:latest; podman pull r.io/web@sha256:d; " +
				"podman tag r.io/web@sha256:d r.io/web:1; podman tag r.io/web@sha256:d r.io/web:latest; archy-recovery retry web"},
		"others that use it are named": {RepairFacts{MakesAnew: true, ImageDamaged: true, Image: image, Found: true,
			Users: []StoredName{{ID: "o", Name: "other"}}}, "refused: the image has to come anew. It is also used by other: "},
		"what is left of it holds the image, and others have the damage": {
			RepairFacts{MakesAnew: true, ImageDamaged: true, Image: built, Container: web, Sharers: []string{"localhost/b:1"}},
			"refused: the image has to come anew. The damage is also in localhost/b:1: as long as one of these images is " +
				"there, podman keeps what is damaged, and takes it for whole. podman rm w; podman rmi localhost/web:1; then build"},
		"others have the damage": {
			RepairFacts{MakesAnew: true, ImageDamaged: true, Image: image, Found: true, Sharers: []string{"localhost/b:1"}},
			"refused: the image has to come anew. The damage is also in localhost/b:1: "},
		"one that was built here": {RepairFacts{MakesAnew: true, ImageDamaged: true, Image: built, Found: true},
			"refused: the image has to come anew. podman rmi localhost/web:1; then build, load or import it again"},
		"one that podman cannot read": {RepairFacts{MakesAnew: true, ImageDamaged: true},
			"refused: podman cannot read the image"},
		"a plain one keeps its image": {RepairFacts{ImageDamaged: true, Image: image, Found: true, Container: web},
			"refused: no unit makes it anew"},
		"nothing to do": {RepairFacts{MakesAnew: true}, "refused: nothing is left"},
	} {
		test.f.Name = "web"
		r := PlanRepair(test.f)
		var steps []string
		for _, s := range r.Steps {
			steps = append(steps, fmt.Sprintf("%s %s", s.Kind, s.Target))
		}
		got := strings.Join(steps, ", ")
		if r.Refused != "" {
			got += "refused: " + r.Refused
		}
		if !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// What is repaired without a question is no more than Repair= says.
func TestRepairLevel(t *testing.T) {
	container := Repair{Steps: []RepairStep{{Kind: RepairRemoveContainer}, {Kind: RepairStart}}}
	image := Repair{Steps: []RepairStep{{Kind: RepairRemoveImage}, {Kind: RepairPull, Target: "r"}, {Kind: RepairStart}}}
	for level, want := range map[RepairLevel][3]bool{
		RepairNothing: {}, RepairContainers: {true, false, false}, RepairImages: {true, true, false},
	} {
		got := [3]bool{level.Allows(container), level.Allows(image), level.Allows(Repair{Refused: "no"})}
		if got != want {
			t.Errorf("%s: %v, want %v", level, got, want)
		}
	}
}

// An image that two containers use comes once, and the second waits for it.
func TestShareImages(t *testing.T) {
	of := func(name, reference string) Repair {
		return Repair{Container: name, Steps: imageSteps(RepairFacts{Name: name, Container: &StoredName{ID: "c" + name},
			Image: &ImageInfo{ID: "i" + reference, Names: []string{"n"}, Digests: []string{reference}}})}
	}
	repairs := []Repair{of("a", "r"), {Container: "x"}, of("b", "r"), of("c", "s")}
	ShareImages(repairs)
	for i, want := range []string{"", "", "r", ""} {
		if repairs[i].After != want {
			t.Errorf("%s waits for %q", repairs[i].Container, repairs[i].After)
		}
	}
	if got := fmt.Sprint(repairs[2].Steps); got != "[{remove-container cb false} {start b false}]" {
		t.Errorf("b: %s", got)
	}
	if repairs[0].Pulls() != "r" || repairs[3].Pulls() != "s" || repairs[2].Pulls() != "" {
		t.Errorf("%+v", repairs)
	}
}
