package labels

import (
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	zero, top := 0, recover.MaxTier
	for name, c := range map[string]struct {
		labels map[string]string
		want   recover.Container
	}{
		"no labels": {nil, recover.Container{Name: "a"}},
		"unit": {
			map[string]string{"PODMAN_SYSTEMD_UNIT": "a.service"}, recover.Container{Name: "a", Unit: "a.service"}},
		"lowest tier":       {map[string]string{"io.archy.tier": "0"}, recover.Container{Name: "a", Tier: &zero}},
		"highest tier":      {map[string]string{"io.archy.tier": " 99 "}, recover.Container{Name: "a", Tier: &top}},
		"tier too high":     {map[string]string{"io.archy.tier": "100"}, recover.Container{Name: "a"}},
		"tier not a number": {map[string]string{"io.archy.tier": "soon"}, recover.Container{Name: "a"}},
		"waited for": {
			map[string]string{"io.archy.wait": "healthy"}, recover.Container{Name: "a", Wait: "healthy"}},
		"not waited for":       {map[string]string{"io.archy.wait": "active"}, recover.Container{Name: "a", Wait: "active"}},
		"no value":             {map[string]string{"io.archy.wait": "auto"}, recover.Container{Name: "a"}},
		"labels of no concern": {map[string]string{"io.buildah.version": "1.39.3"}, recover.Container{Name: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := recover.Container{Name: "a"}
			Read(&got, c.labels)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("container (-want +got):\n%s", diff)
			}
		})
	}
}
