package podman

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// An archivedFile is one file of an archive, or a link to another.
type archivedFile struct{ name, content, link string }

// digestHex is the SHA-256 of a text.
func digestHex(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// savedImage is an image of two layers as podman 5.4 saves it, with its ID.
func savedImage() (id string, files []archivedFile) {
	layers := []string{
		tarOf(archivedFile{name: "bin/sh", content: "#!"}), tarOf(archivedFile{name: "app", content: "code"}),
	}
	config := fmt.Sprintf(`{"os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s","sha256:%s"]}}`,
		digestHex(layers[0]), digestHex(layers[1]))
	id = digestHex(config)
	manifest := fmt.Sprintf(`[{"Config":"%s.json","RepoTags":null,"Layers":["%s.tar","%s.tar"]}]`,
		id, digestHex(layers[0]), digestHex(layers[1]))
	return id, []archivedFile{
		{name: digestHex(layers[0]) + ".tar", content: layers[0]},
		{name: digestHex(layers[1]) + ".tar", content: layers[1]},
		{name: id + ".json", content: config},
		{name: "old/VERSION", content: "1.0"},
		{name: "old/layer.tar", link: "../" + digestHex(layers[0]) + ".tar"},
		{name: "repositories", content: "{}"},
		{name: "manifest.json", content: manifest},
	}
}

func tarOf(files ...archivedFile) string {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Size: int64(len(f.content)), Mode: 0o600, Linkname: f.link, Typeflag: tar.TypeReg}
		if f.link != "" {
			h.Typeflag = tar.TypeSymlink
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.String()
}

// An archive is whole only if the image's ID vouches for each byte of its layers.
func TestCheckArchive(t *testing.T) {
	t.Parallel()
	id, files := savedImage()
	whole := tarOf(files...)
	edited := func(i int, edit func(string) string) string {
		other := append([]archivedFile{}, files...)
		other[i].content = edit(other[i].content)
		return tarOf(other...)
	}
	without := func(i int) string { return tarOf(append(append([]archivedFile{}, files[:i]...), files[i+1:]...)...) }
	zeros := func(s string) string { return strings.Repeat("\x00", len(s)) }
	for name, test := range map[string]struct{ archive, want string }{
		"whole":                 {whole, ""},
		"a layer of zeros":      {edited(1, zeros), "layer 2 in the archive is not the image's"},
		"a shorter layer":       {edited(0, func(s string) string { return s[:512] }), "layer 1 in the archive is not"},
		"a byte of a layer":     {edited(0, func(s string) string { return strings.Replace(s, "#!", "#?", 1) }), "layer 1"},
		"a layer is missing":    {without(1), "layer 2 in the archive is not"},
		"no configuration":      {without(2), "the archive is of another image"},
		"another configuration": {edited(2, func(s string) string { return s + " " }), "the archive is of another image"},
		"no manifest":           {without(6), "no manifest of one image"},
		"a manifest of zeros":   {edited(6, zeros), "no manifest of one image"},
		"two images": {edited(6, func(s string) string { return "[" + s[1:len(s)-1] + "," + s[1:] }),
			"no manifest of one"},
		"fewer layers": {edited(6, func(s string) string { return s[:strings.LastIndex(s, ",")] + "]}]" }),
			"has 1 layers, and the image 2"},
		"a link for a layer": {edited(6, func(s string) string {
			return strings.Replace(s, files[0].name, "old/layer.tar", 1)
		}), "layer 1 in the archive is not"},
		"a file twice": {tarOf(append(files, files[0])...), "is there twice"},
		"cut":          {whole[:len(whole)/2], "cannot be read"},
		"empty":        {"", "no manifest"},
		"no archive":   {strings.Repeat("x", 2048), "cannot be read"},
	} {
		err := new(Client).CheckArchive(strings.NewReader(test.archive), id)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if err := new(Client).CheckArchive(strings.NewReader(whole), digestHex("")); err == nil {
		t.Error("it is taken for another image")
	}
}

// An image is saved by its ID, so that loading it moves no name.
func TestSaveImage(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	got, err := asked(t, http.StatusOK, "the archive", func(c *Client) error {
		return c.SaveImage(t.Context(), reservedWeb.ID, &out)
	})
	if want := "GET images/" + reservedWeb.ID + "/get?format=docker-archive&compress=false"; got != want || err != nil ||
		out.String() != "the archive" {
		t.Errorf("asked for %s, got %q, %v", got, out.String(), err)
	}
	if _, err := asked(t, http.StatusInternalServerError, `{"message":"file integrity checksum failed"}`,
		func(c *Client) error { return c.SaveImage(t.Context(), reservedWeb.ID, &out) }); err == nil {
		t.Error("podman cannot save it")
	}
	if got, err := asked(t, http.StatusOK, "", func(c *Client) error {
		return c.SaveImage(t.Context(), "../x", &out)
	}); err == nil || got != "" {
		t.Errorf("asked for %s, %v", got, err)
	}
}

// podman gets the whole archive, also if its socket has to be started first.
func TestLoadImage(t *testing.T) {
	t.Parallel()
	_, files := savedImage()
	archive := tarOf(files...)
	var request, body string
	handler := func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		request, body = fmt.Sprint(r.Method, " ", r.URL.Path, " ", r.ContentLength), string(text)
		_ = json.NewEncoder(w).Encode(map[string]any{"Names": []string{"sha256:x"}})
	}
	socket := filepath.Join(filepath.Dir(socketIn(t)), "podman.sock")
	woken := 0
	c := New(socket, func(context.Context) error {
		woken++
		serve(t, socket, http.HandlerFunc(handler))
		return nil
	})
	reader := strings.NewReader("xx" + archive)
	reader.Seek(2, io.SeekStart)
	err := c.LoadImage(t.Context(), reader, int64(len(archive)))
	if want := fmt.Sprint("POST /v4.0.0/libpod/images/load ", len(archive)); err != nil || request != want ||
		body != archive || woken != 1 {
		t.Errorf("asked for %s with %d bytes, woken %d times, %v", request, len(body), woken, err)
	}
	for _, answer := range []string{"", "x"} {
		if _, err := asked(t, http.StatusOK, answer, func(c *Client) error {
			return c.LoadImage(t.Context(), strings.NewReader("a"), 1)
		}); err == nil {
			t.Errorf("%q is taken for an answer", answer)
		}
	}
	if _, err := asked(t, http.StatusInternalServerError, `{"message":"no space left on device"}`,
		func(c *Client) error { return c.LoadImage(t.Context(), strings.NewReader("a"), 1) }); err == nil ||
		!strings.Contains(err.Error(), "no space left") {
		t.Error(err)
	}
}
