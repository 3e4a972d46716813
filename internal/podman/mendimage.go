package podman

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"archy-recovery/internal/recover"
)

// Labels of an image that only keeps a name: the ID of the image that had it, the reference by which
// that comes again, and all its names.
const (
	reservedIDLabel    = "io.archy.repair.id"
	reservedByLabel    = "io.archy.repair.reference"
	reservedNamesLabel = "io.archy.repair.names"
)

// reservedOf reads these labels, nil if they are not there, or not as ReserveName writes them. An
// image can have any labels.
func reservedOf(labels map[string]string) *recover.Reserved {
	r := recover.Reserved{ID: labels[reservedIDLabel], Reference: labels[reservedByLabel],
		Names: strings.Split(labels[reservedNamesLabel], ",")}
	if checkID(r.ID) != nil || checkReference(r.Reference) != nil || checkReferences(r.Names) != nil {
		return nil
	}
	return &r
}

// references are what podman calls images by: a name with a tag, or with a digest.
var references = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,400}(@sha256:[0-9a-f]{64})?$`)

// checkReference returns an error for what is no reference of an image.
func checkReference(name string) error {
	if !references.MatchString(name) {
		return fmt.Errorf("%q is no name of an image", name)
	}
	return nil
}

func checkReferences(names []string) error {
	for _, name := range names {
		if err := checkReference(name); err != nil {
			return err
		}
	}
	return nil
}

// emptyArchive is a tar file without an entry.
var emptyArchive = make([]byte, 1024)

// ReserveName has a name lead to a new image without content, until the image comes again that had
// it. A container of that name cannot start meanwhile, and its start pulls nothing.
// (POST /libpod/images/import)
func (c *Client) ReserveName(ctx context.Context, name string, r recover.Reserved) error {
	if err := errors.Join(checkID(r.ID), checkReferences(append([]string{name, r.Reference}, r.Names...))); err != nil {
		return err
	}
	query := url.Values{"reference": {name}, "message": {"archy-recovery keeps this name for an image that comes again"},
		"changes": {
			"LABEL " + reservedIDLabel + "=" + r.ID,
			"LABEL " + reservedByLabel + "=" + r.Reference,
			"LABEL " + reservedNamesLabel + "=" + strings.Join(r.Names, ","),
		}}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.ask(ctx, http.MethodPost, "images/import?"+query.Encode(), emptyArchive, nil)
}

// RemoveImage removes an image by its ID. It uses no force: podman refuses one that a container
// uses. (DELETE /libpod/images/{name})
func (c *Client) RemoveImage(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.ask(ctx, http.MethodDelete, "images/"+id+"?force=false", nil, nil)
}

// RegistryHas asks the registry whether it has an image. Nothing is changed.
// (GET /libpod/manifests/{name}/json)
func (c *Client) RegistryHas(ctx context.Context, reference string) error {
	if err := checkReference(reference); err != nil {
		return err
	}
	var manifest json.RawMessage
	err := c.get(ctx, "manifests/"+url.PathEscape(reference)+"/json", &manifest)
	if err != nil && strings.Contains(err.Error(), "parsing manifest blob") {
		return nil // the registry gave it; podman has the words for a list only
	}
	return err
}

// PullImage gets an image from its registry, whether podman has it or not. It takes as long as
// ctx lets it. (POST /libpod/images/pull)
func (c *Client) PullImage(ctx context.Context, reference string) error {
	if err := checkReference(reference); err != nil {
		return err
	}
	answer, err := c.open(ctx, http.MethodPost, "images/pull?"+url.Values{"reference": {reference}}.Encode(), nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	// A line of JSON for each step; the last one has the ID, or the error.
	var line struct{ ID, Error string }
	for lines := json.NewDecoder(io.LimitReader(answer, maxAnswer)); ; {
		line.ID, line.Error = "", ""
		switch err := lines.Decode(&line); {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("podman did not say whether it has pulled %s", reference)
		case err != nil:
			return fmt.Errorf("podman's answer to the pull of %s cannot be read: %w", reference, err)
		case line.Error != "":
			return fmt.Errorf("podman: %s", line.Error)
		case line.ID != "":
			return nil
		}
	}
}

// TagImage gives an image another name. The image that had it loses it.
// (POST /libpod/images/{name}/tag)
func (c *Client) TagImage(ctx context.Context, reference, name string) error {
	if err := checkReferences([]string{reference, name}); err != nil {
		return err
	}
	at := strings.LastIndex(name, ":")
	if at <= strings.LastIndex(name, "/") {
		return fmt.Errorf("%q has no tag", name)
	}
	query := url.Values{"repo": {name[:at]}, "tag": {name[at+1:]}}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.ask(ctx, http.MethodPost, "images/"+url.PathEscape(reference)+"/tag?"+query.Encode(), nil, nil)
}
