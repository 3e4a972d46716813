package podman

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"archy-recovery/internal/recover"
)

// StoredNames returns every container that podman lists, and those that only its storage
// knows: they have a name that is in use, and podman ps --all does not show them. podman gives
// these the state "storage", and says in their command what made them.
// (GET /libpod/containers/json)
func (c *Client) StoredNames(ctx context.Context) ([]recover.StoredName, error) {
	var entries []struct {
		ID      string `json:"Id"`
		Names   []string
		ImageID string
		State   string
		Command []string
	}
	if err := c.get(ctx, "containers/json?all=true&external=true", &entries); err != nil {
		return nil, err
	}
	var names []recover.StoredName
	for _, e := range entries {
		if len(e.Names) == 0 || recover.CheckName(e.Names[0]) != nil {
			continue
		}
		s := recover.Sighting{State: states[e.State]}
		external := e.State == "storage"
		names = append(names, recover.StoredName{
			ID: e.ID, Name: e.Names[0], ImageID: e.ImageID,
			Running:  s.Running() || e.State == "paused" || e.State == "stopping",
			External: external, Foreign: external && !slices.Equal(e.Command, []string{"storage"}),
		})
	}
	return names, nil
}

// ImageInfo returns what podman knows of an image. ErrNoImage: it does not have it.
// (GET /libpod/images/{name}/json)
func (c *Client) ImageInfo(ctx context.Context, image string) (recover.ImageInfo, error) {
	var i struct {
		ID          string `json:"Id"`
		RepoTags    []string
		RepoDigests []string
		Labels      map[string]string
		Size        int64
	}
	err := c.get(ctx, "images/"+url.PathEscape(image)+"/json", &i)
	if notFound(err) {
		return recover.ImageInfo{}, fmt.Errorf("%w: %s: %w", recover.ErrNoImage, image, err)
	}
	info := recover.ImageInfo{ID: i.ID, Names: i.RepoTags, Size: i.Size, Reserved: reservedOf(i.Labels)}
	for _, digest := range i.RepoDigests {
		// podman gives what was built or imported here a digest, too; no registry has that.
		if !strings.HasPrefix(digest, "localhost/") {
			info.Digests = append(info.Digests, digest)
		}
	}
	return info, err
}

// RemoveContainer removes a container by its ID, also one that only the storage knows. It
// uses no force: podman refuses one that runs. Its volumes stay.
// (DELETE /libpod/containers/{name})
func (c *Client) RemoveContainer(ctx context.Context, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	var report []struct{ Err any }
	err := c.ask(ctx, http.MethodDelete, "containers/"+id+"?force=false&v=false", nil, &report)
	for _, r := range report {
		if r.Err != nil && err == nil {
			err = fmt.Errorf("podman: %v", r.Err)
		}
	}
	return err
}

// checkID returns an error for what is no whole ID.
func checkID(id string) error {
	if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return fmt.Errorf("%q is no ID of podman", id)
	}
	return nil
}
