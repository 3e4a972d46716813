package podman

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"archy-recovery/internal/recover"

	"github.com/coreos/go-systemd/v22/unit"
)

// GenerateUnit returns the name and the text of a unit that starts the existing
// container name. It takes the unit that podman generates and removes whatever would
// manage the container after its start. The container ran without a unit, so only
// podman and its user manage it: with Restart=, PIDFile= (whose ID may be gone) and
// ExecStopPost=, the unit would start again what a user stopped, and stop what a user
// re-created.
// (GET /libpod/generate/{name}/systemd, podman-generate-systemd(1))
func (c *Client) GenerateUnit(ctx context.Context, name string) (unitName, text string, err error) {
	if err := recover.CheckName(name); err != nil {
		return "", "", err
	}
	var units map[string]string
	path := "generate/" + url.PathEscape(name) + "/systemd?useName=true&restartPolicy=no"
	if err := c.get(ctx, path, &units); err != nil {
		return "", "", err
	}
	text, ok := units["container-"+name]
	if !ok {
		return "", "", fmt.Errorf("podman generated no unit container-%s", name)
	}
	text, err = c.onlyStart(text, name)
	if err != nil {
		return "", "", fmt.Errorf("the unit that podman generated for %s cannot be used: %w", name, err)
	}
	return "container-" + name + ".service", text, nil
}

// ordersAfterNetwork reports whether an option is one of the two by which each generated
// unit wants network-online.target and is ordered after it. The container ran without that.
func ordersAfterNetwork(o *unit.UnitOption) bool {
	return (o.Name == "Wants" || o.Name == "After") && o.Value == "network-online.target"
}

// onlyStart returns the text of a generated unit with only what starts the container, through
// the client's program for that if it has one.
func (c *Client) onlyStart(text, name string) (string, error) {
	isStart := func(o *unit.UnitOption) bool { return o.Section == "Service" && o.Name == "ExecStart" }
	options, err := unit.DeserializeOptions(strings.NewReader(text))
	if err != nil {
		return "", err
	}
	var kept []*unit.UnitOption
	for _, o := range options {
		if isStart(o) && c.starter != "" && strings.HasPrefix(o.Value, "/") && strings.HasSuffix(o.Value, " start "+name) {
			o.Value = c.starter + " " + c.socket + " " + o.Value
		}
		if o.Section == "Unit" && !ordersAfterNetwork(o) || isStart(o) {
			kept = append(kept, o)
		}
	}
	if !slices.ContainsFunc(kept, isStart) {
		return "", errors.New("it has no ExecStart=")
	}
	kept = append(kept,
		unit.NewUnitOption("Service", "Type", "oneshot"),
		// conmon and the network helpers belong to the container, and outlive the
		// start.
		unit.NewUnitOption("Service", "KillMode", "process"))
	whole, err := io.ReadAll(unit.Serialize(kept))
	if err != nil {
		return "", err
	}
	// A value that ends in a backslash would join the line after it to its own.
	again, err := unit.DeserializeOptions(bytes.NewReader(whole))
	if err != nil || !slices.EqualFunc(kept, again, func(a, b *unit.UnitOption) bool { return *a == *b }) {
		return "", errors.New("its options change when they are written and read again")
	}
	return string(whole), nil
}
