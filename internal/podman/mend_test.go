package podman

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

// stored54 is the answer of podman 5.4.2 with external=true, shortened: one that runs, one that
// has exited, one that only the storage knows, and one of buildah.
const stored54 = `[
 {"Id":"a","Names":["up"],"ImageID":"i","State":"running","Command":["storage"]},
 {"Id":"b","Names":["down"],"ImageID":"i","State":"exited","Command":null},
 {"Id":"c","Names":["ghost"],"ImageID":"i","State":"storage","Command":["storage"]},
 {"Id":"d","Names":["work"],"ImageID":"i","State":"storage","Command":["buildah"]},
 {"Id":"e","Names":["../x"],"ImageID":"i","State":"storage","Command":["storage"]},
 {"Id":"f","Names":["held"],"ImageID":"i","State":"paused","Command":null}]`

func TestStoredNames(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.RawQuery
		answers(http.StatusOK, stored54)(w, r)
	})
	got, err := c.StoredNames(t.Context())
	if query := <-asked; err != nil || query != "all=true&external=true" {
		t.Errorf("asked for %s: %v", query, err)
	}
	want := []recover.StoredName{
		{ID: "a", Name: "up", ImageID: "i", Running: true},
		{ID: "b", Name: "down", ImageID: "i"},
		{ID: "c", Name: "ghost", ImageID: "i", External: true},
		{ID: "d", Name: "work", ImageID: "i", External: true, Foreign: true},
		{ID: "f", Name: "held", ImageID: "i", Running: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What is built here has no digest that a registry knows.
func TestImageInfo(t *testing.T) {
	t.Parallel()
	c := clientOf(t, answers(http.StatusOK,
		`{"Id":"i","RepoTags":["r.io/a:1"],"RepoDigests":["localhost/a@sha256:1","r.io/a@sha256:2"]}`))
	want := recover.ImageInfo{ID: "i", Names: []string{"r.io/a:1"}, Digests: []string{"r.io/a@sha256:2"}}
	if got, err := c.ImageInfo(t.Context(), "r.io/a:1"); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%+v, %v", got, err)
	}
	c = clientOf(t, answers(http.StatusNotFound, `{"message":"no such image"}`))
	if _, err := c.ImageInfo(t.Context(), "a"); !errors.Is(err, recover.ErrNoImage) {
		t.Error(err)
	}
}

// A removal never asks for force or for volumes, and podman's word in its report is an error.
func TestRemoveContainer(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("a1", 32)
	for answer, fails := range map[string]bool{
		`[{"Id":"` + id + `","Err":null}]`:         false,
		`[{"Id":"` + id + `","Err":"it is busy"}]`: true,
	} {
		asked := make(chan string, 1)
		c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			asked <- r.Method + " " + r.URL.Path + "?" + r.URL.RawQuery
			answers(http.StatusOK, answer)(w, r)
		})
		err := c.RemoveContainer(t.Context(), id)
		if (err != nil) != fails {
			t.Errorf("%s: %v", answer, err)
		}
		if got := <-asked; got != "DELETE /v4.0.0/libpod/containers/"+id+"?force=false&v=false" {
			t.Errorf("asked for %s", got)
		}
		for _, bad := range []string{"web", "", id[:12], "../" + id[3:]} {
			if c.RemoveContainer(t.Context(), bad) == nil || len(asked) > 0 {
				t.Errorf("%q was removed", bad)
			}
		}
	}
}
