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
		"an image comes again by the digest that ran": {RepairFacts{MakesAnew: true, ImageDamaged: true, Image: image},
			"refused: the image has to come anew. podman rmi r.io/web:1 r.io/web:latest; podman pull r.io/web@sha256:d; " +
				"podman tag r.io/web@sha256:d r.io/web:1; podman tag r.io/web@sha256:d r.io/web:latest; archy-recovery retry web"},
		"others that use it are named": {RepairFacts{MakesAnew: true, ImageDamaged: true, Image: image,
			Users: []StoredName{{ID: "o", Name: "other"}}}, "refused: the image has to come anew. It is also used by other: "},
		"what is left of it holds the image, and others have the damage": {
			RepairFacts{MakesAnew: true, ImageDamaged: true, Image: built, Container: web, Sharers: []string{"localhost/b:1"}},
			"refused: the image has to come anew. The damage is also in localhost/b:1: as long as one of these images is " +
				"there, podman keeps what is damaged, and takes it for whole. podman rm w; podman rmi localhost/web:1; then build"},
		"one that was built here": {RepairFacts{MakesAnew: true, ImageDamaged: true, Image: built},
			"refused: the image has to come anew. podman rmi localhost/web:1; then build, load or import it again"},
		"one that podman cannot read": {RepairFacts{MakesAnew: true, ImageDamaged: true},
			"refused: podman cannot read the image"},
		"a plain one keeps its image": {RepairFacts{ImageDamaged: true, Image: image, Container: web},
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
