package podman

import (
	"net/http"
	"strings"
	"testing"
)

// Without a container podman is asked for its information.
func TestGraphRoot(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"host":{},"store":{"graphRoot":"/home/u/storage","runRoot":"/run"}}`: "/home/u/storage",
		`{"store":{"graphRoot":"storage"}}`:                                    "",
		`{"store":{}}`:                                                         "",
		`[]`:                                                                   "",
	} {
		asked := ""
		c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			if asked = r.URL.Path; strings.HasSuffix(asked, "/containers/json") {
				answers(http.StatusOK, "[]")(w, r)
				return
			}
			answers(http.StatusOK, answer)(w, r)
		})
		got, err := c.GraphRoot(t.Context())
		if got != want || (err == nil) != (want != "") || !strings.HasSuffix(asked, "/libpod/info") {
			t.Errorf("%s: %q, %v, asked %s", answer, got, err, asked)
		}
	}
}

// The directory of a container tells the graph root. What does not look like such a directory tells nothing.
func TestGraphRootOfContainer(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"Driver":"overlay","StaticDir":"/data/storage/overlay-containers/12ab/userdata"}`: "/data/storage",
		`{"Driver":"vfs","StaticDir":"/s/vfs-containers/12ab/userdata"}`:                    "/s",
		`{"Driver":"vfs","StaticDir":"/s/overlay-containers/12ab/userdata"}`:                "/info",
		`{"Driver":"overlay","StaticDir":"/s/overlay-containers/34cd/userdata"}`:            "/info",
		`{"Driver":"overlay","StaticDir":"/overlay-containers/12ab/userdata"}`:              "/info",
		`{"Driver":"overlay","StaticDir":"s/overlay-containers/12ab/userdata"}`:             "/info",
		`{"StaticDir":"/s/-containers/12ab/userdata"}`:                                      "/info",
		`{}`: "/info",
	} {
		c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
			switch path := r.URL.Path; {
			case strings.HasSuffix(path, "/containers/json"):
				answers(http.StatusOK, `[{"Id":"12ab","Names":["web"]}]`)(w, r)
			case strings.HasSuffix(path, "/containers/12ab/json"):
				answers(http.StatusOK, answer)(w, r)
			default:
				answers(http.StatusOK, `{"store":{"graphRoot":"/info"}}`)(w, r)
			}
		})
		if got, err := c.GraphRoot(t.Context()); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", answer, got, err, want)
		}
	}
}
