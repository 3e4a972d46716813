package podman

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

var reservedWeb = recover.Reserved{ID: strings.Repeat("a1", 32), Names: []string{"r.io/web:1", "r.io/web:latest"},
	Reference: "r.io/web@sha256:" + strings.Repeat("0f", 32)}

// asked runs do with a podman that gives this answer, and returns what it was asked for.
func asked(t *testing.T, status int, answer string, do func(*Client) error) (request string, err error) {
	t.Helper()
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		request = r.Method + " " + strings.TrimPrefix(r.URL.EscapedPath(), "/v4.0.0/libpod/") + "?" + r.URL.RawQuery
		answers(status, answer)(w, r)
	})
	err = do(c)
	return request, err
}

// What a repair has podman change: never with force, and only what is named in full.
func TestMendImage(t *testing.T) {
	t.Parallel()
	const escaped = "r.io%2Fweb@sha256:"
	for name, test := range map[string]struct {
		do   func(*Client) error
		want string
	}{
		"remove": {func(c *Client) error { return c.RemoveImage(t.Context(), reservedWeb.ID) },
			"DELETE images/" + reservedWeb.ID + "?force=false"},
		"pull": {func(c *Client) error { return c.PullImage(t.Context(), reservedWeb.Reference) },
			"POST images/pull?reference=" + url.QueryEscape(reservedWeb.Reference)},
		"tag": {func(c *Client) error { return c.TagImage(t.Context(), reservedWeb.Reference, "h:5000/web:1") },
			"POST images/" + escaped + strings.Repeat("0f", 32) + "/tag?repo=h%3A5000%2Fweb&tag=1"},
		"ask": {func(c *Client) error { return c.RegistryHas(t.Context(), reservedWeb.Reference) },
			"GET manifests/" + escaped + strings.Repeat("0f", 32) + "/json?"},
	} {
		got, err := asked(t, http.StatusOK, `{"Id":"x"}`, test.do)
		if err != nil || got != test.want {
			t.Errorf("%s: asked for %s, want %s: %v", name, got, test.want, err)
		}
		if _, err := asked(t, http.StatusConflict, `{"message":"it is in use"}`, test.do); err == nil {
			t.Errorf("%s: podman refused it", name)
		}
	}
	for _, bad := range []string{"", "-x", "a b", "../a", "a\nb", "a@sha256:1", "a?b", "web@" + reservedWeb.ID} {
		got, err := asked(t, http.StatusOK, `{"Id":"x"}`, func(c *Client) error {
			for _, err := range []error{c.PullImage(t.Context(), bad), c.RegistryHas(t.Context(), bad),
				c.TagImage(t.Context(), bad, "a:1"), c.TagImage(t.Context(), "a", bad), c.RemoveImage(t.Context(), bad),
				c.ReserveName(t.Context(), bad, reservedWeb)} {
				if err == nil {
					t.Errorf("%q is taken for a name", bad)
				}
			}
			return nil
		})
		if got != "" || err != nil {
			t.Errorf("%q: asked for %s, %v", bad, got, err)
		}
	}
}

// podman says in the last line of its answer whether the image has come.
func TestPullFails(t *testing.T) {
	t.Parallel()
	for answer, fails := range map[string]bool{
		`{"stream":"Trying"}` + "\n" + `{"images":["a"],"id":"a"}`: false,
		`{"stream":"Trying"}` + "\n" + `{"error":"no such host"}`:  true,
		`{"stream":"Trying"}`: true,
		``:                    true,
	} {
		_, err := asked(t, http.StatusOK, answer, func(c *Client) error {
			return c.PullImage(t.Context(), reservedWeb.Reference)
		})
		if (err != nil) != fails {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

// podman has no words for the manifest of one image, and then the registry has it.
func TestRegistryHas(t *testing.T) {
	t.Parallel()
	for answer, has := range map[string]bool{
		"parsing manifest blob \\\"{}\\\" as a \\\"application/vnd.oci.image.manifest.v1+json\\\": not implemented": true,
		"reading image \\\"docker://r.io/web\\\": manifest unknown":                                                 false,
	} {
		_, err := asked(t, http.StatusNotFound, `{"message":"`+answer+`"}`, func(c *Client) error {
			return c.RegistryHas(t.Context(), reservedWeb.Reference)
		})
		if (err == nil) != has {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

// A name is kept by an image whose labels say for what. Labels that are not as we write them are
// no such thing: an image can carry any.
func TestReserved(t *testing.T) {
	t.Parallel()
	got, err := asked(t, http.StatusOK, `{"Id":"x"}`, func(c *Client) error {
		return c.ReserveName(t.Context(), "r.io/web:1", reservedWeb)
	})
	_, query, _ := strings.Cut(got, "?")
	values, _ := url.ParseQuery(query)
	if err != nil || !strings.HasPrefix(got, "POST images/import?") || values.Get("reference") != "r.io/web:1" {
		t.Errorf("asked for %s, %v", got, err)
	}
	labels := map[string]string{}
	for _, change := range values["changes"] {
		key, value, _ := strings.Cut(strings.TrimPrefix(change, "LABEL "), "=")
		labels[key] = value
	}
	if diff := cmp.Diff(&reservedWeb, reservedOf(labels)); diff != "" {
		t.Error(diff)
	}
	for label, value := range map[string]string{reservedIDLabel: "x", reservedByLabel: "a b", reservedNamesLabel: ""} {
		other := map[string]string{label: value}
		for key, is := range labels {
			if key != label {
				other[key] = is
			}
		}
		if r := reservedOf(other); r != nil {
			t.Errorf("%s=%q: %+v", label, value, r)
		}
	}
	if reservedOf(nil) != nil {
		t.Error("an image without labels")
	}
}
