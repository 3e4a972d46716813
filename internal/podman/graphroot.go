package podman

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"
)

// GraphRoot returns the directory in which podman keeps containers and images.
//
// The directory of any container tells it. Only where there is no container is podman asked for all that it
// knows of the host: for that answer it runs a dozen programs, such as dpkg-query for the package of each.
// (GET /libpod/containers/json, GET /libpod/containers/{name}/json, GET /libpod/info)
func (c *Client) GraphRoot(ctx context.Context) (string, error) {
	if root := c.rootOfNewest(ctx); root != "" {
		return root, nil
	}
	var info struct {
		Store struct {
			GraphRoot string `json:"graphRoot"`
		} `json:"store"`
	}
	if err := c.get(ctx, "info", &info); err != nil {
		return "", err
	}
	if !path.IsAbs(info.Store.GraphRoot) {
		return "", fmt.Errorf("podman names %q as its graph root, which is no absolute path", info.Store.GraphRoot)
	}
	return info.Store.GraphRoot, nil
}

// newestWithin bounds the questions about the newest container. One that is stuck holds its lock, and podman
// answers for the whole host without it.
const newestWithin = 10 * time.Second

// rootOfNewest is the graph root by the directory of the newest container, "" if that does not tell it. The
// directory is ROOT/DRIVER-containers/ID/userdata (containers/storage, Store.ContainerDirectory).
func (c *Client) rootOfNewest(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, newestWithin)
	defer cancel()
	var newest []listed
	if err := c.get(ctx, "containers/json?all=true&limit=1", &newest); err != nil || len(newest) == 0 {
		return ""
	}
	var i struct{ StaticDir, Driver string }
	if err := c.get(ctx, "containers/"+url.PathEscape(newest[0].ID)+"/json", &i); err != nil {
		return ""
	}
	root, found := strings.CutSuffix(i.StaticDir, "/"+i.Driver+"-containers/"+newest[0].ID+"/userdata")
	if !found || i.Driver == "" || newest[0].ID == "" || !path.IsAbs(root) {
		return ""
	}
	return root
}
