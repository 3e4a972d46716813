package podman

import "context"

// PublishesPort returns the running container that publishes a port of the host, "" if none does.
// (GET /libpod/containers/json)
func (c *Client) PublishesPort(ctx context.Context, port int) (string, error) {
	var list []struct {
		Names []string
		Ports []struct {
			HostPort int `json:"host_port"`
			Range    int `json:"range"` // how many ports, from that one on
		}
	}
	if err := c.get(ctx, "containers/json", &list); err != nil {
		return "", err
	}
	for _, l := range list {
		for _, p := range l.Ports {
			if len(l.Names) > 0 && port >= p.HostPort && port < p.HostPort+max(1, p.Range) {
				return l.Names[0], nil
			}
		}
	}
	return "", nil
}
