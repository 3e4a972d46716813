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
		"one that was built here comes from its archive": {
			RepairFacts{MakesAnew: true, ImageDamaged: true, Image: built, Found: true, Unreserved: built.Names,
				Archive: "/d/img.tar"},
			"reserve-name localhost/web:1, remove-image img, load img, tag localhost/web:1, start web"},
		"an archive needs no registry": {
			RepairFacts{MakesAnew: true, ImageDamaged: true, Image: image, Found: true, Archive: "/d/img.tar"},
			"remove-image img, load img, tag r.io/web:1, tag r.io/web:latest, start web"},
		"nor, after a cut, the image": {
			RepairFacts{ImageDamaged: true, Image: built, Gone: true, Archive: "/d/img.tar"},
			"load img, tag localhost/web:1, start web"},
		"an image from an archive has no digest": {
			RepairFacts{MakesAnew: true, ImageDamaged: true, Image: pinned, Found: true, Archive: "/d/img.tar", Pinned: true},
			"remove-image img, pull r.io/web@sha256:d, start web"},
		"others use it, and it has an archive": {
			RepairFacts{MakesAnew: true, ImageDamaged: true, Image: built, Found: true, Archive: "/d/img.tar",
				Users: []StoredName{{ID: "o", Name: "other"}}},
			"refused: the image has to come anew. It is also used by other: podman removes it only when they are gone, and " +
				"what they wrote outside of volumes goes with them. podman rmi localhost/web:1; podman load --input /d/img.tar; " +
				"podman tag img localhost/web:1; archy-recovery retry web"},
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
	load := Repair{Steps: []RepairStep{{Kind: RepairRemoveImage}, {Kind: RepairLoad, Target: "i"}, {Kind: RepairStart}}}
	for level, want := range map[RepairLevel][4]bool{
		RepairNothing: {}, RepairContainers: {true, false, false, false}, RepairImages: {true, true, true, false},
	} {
		got := [4]bool{level.Allows(container), level.Allows(image), level.Allows(load), level.Allows(Repair{Refused: "no"})}
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
	if repairs[0].Comes() != "r" || repairs[3].Comes() != "s" || repairs[2].Comes() != "" {
		t.Errorf("%+v", repairs)
	}
}

// What keeps a name says by what the image comes: its registry's digest, or its ID.
func TestReserves(t *testing.T) {
	f := RepairFacts{MakesAnew: true, ImageDamaged: true, Found: true, Archive: "/d/img.tar",
		Image: &ImageInfo{ID: "img", Names: []string{"r.io/web:1"}, Digests: []string{"r.io/web@sha256:d"}}}
	if r := PlanRepair(f).Reserves(); r.Reference != "r.io/web@sha256:d" || r.ID != "img" || len(r.Names) != 1 {
		t.Errorf("%+v", r)
	}
	f.Image.Digests = nil
	if r := PlanRepair(f).Reserves(); r.Reference != "img" {
		t.Errorf("%+v", r)
	}
}
