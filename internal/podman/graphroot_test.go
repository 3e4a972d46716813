package podman

import (
	"net/http"
	"strings"
	"testing"
)

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
			asked = r.URL.Path
			answers(http.StatusOK, answer)(w, r)
		})
		got, err := c.GraphRoot(t.Context())
		if got != want || (err == nil) != (want != "") || !strings.HasSuffix(asked, "/libpod/info") {
			t.Errorf("%s: %q, %v, asked %s", answer, got, err, asked)
		}
	}
}
