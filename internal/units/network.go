package units

import (
	"context"
	"os"
	"slices"
	"strings"

	"archy-recovery/internal/recover"

	unitfile "github.com/coreos/go-systemd/v22/unit"
	"github.com/godbus/dbus/v5"
)

const (
	// networkTarget is reached when the host's network is there (systemd.special(7)).
	networkTarget = "network-online.target"
	// networkWaiter is the unit with which a user's manager waits for that target, for at most 90 s
	// (podman-systemd.unit(5)).
	networkWaiter = "podman-user-wait-network-online.service"
)

// isNetwork reports whether a unit stands for the network.
func isNetwork(unit string) bool { return unit == networkTarget || unit == networkWaiter }

// NetworkNeed looks at a unit and at the inactive units that its start starts. Quadlet and podman generate
// systemd order each of their units after the network, which is no word of the operator. An order of the
// operator is: a further order in the same file, one in a drop-in, and that of any other unit. A unit that
// pulls an image needs the network, too. (Unit.After, Unit.FragmentPath, Unit.DropInPaths, Service.ExecStart)
func (m *Manager) NetworkNeed(ctx context.Context, unit string) (recover.NetworkNeed, error) {
	if err := checkUnit(unit); err != nil {
		return recover.NetworkNeed{}, err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return recover.NetworkNeed{}, err
	}
	var need recover.NetworkNeed
	seen := map[string]bool{unit: true}
	for todo := []string{unit}; len(todo) > 0; todo = todo[1:] {
		p, err := l.readPart(ctx, todo[0])
		if err != nil {
			return need, err
		}
		need.Ordered = need.Ordered || p.ordered
		if why := p.needsNetwork(); need.By == "" {
			need.By = why
		}
		for _, name := range p.starts {
			if !seen[name] {
				seen[name] = true
				todo = append(todo, name)
			}
		}
	}
	return need, nil
}

// A part is a unit of those that a start starts.
type part struct {
	name string
	at   dbus.ObjectPath
	// starts are the inactive units that its start starts too, without those that stand for the network.
	starts []string
	// after are the units that it is ordered after, without those that stand for the network.
	after []listedUnit
	// ordered: it is ordered after a unit that stands for the network.
	ordered bool
	// files are its unit file and drop-ins.
	files []string
	pulls bool // it pulls an image
}

// readPart reads a unit, which systemd loads if need be.
func (l *link) readPart(ctx context.Context, name string) (part, error) {
	p := part{name: name}
	if err := l.call(ctx, managerPath, managerIfc+".LoadUnit", name).Store(&p.at); err != nil {
		return p, l.explain(err)
	}
	asked := []property{{p.at, unitIfc, "FragmentPath"}, {p.at, unitIfc, "DropInPaths"}, {p.at, unitIfc, "After"}}
	for _, kind := range []string{"Requires", "BindsTo", "Wants", "Upholds"} {
		asked = append(asked, property{p.at, unitIfc, kind})
	}
	if strings.HasSuffix(name, ".service") {
		asked = append(asked, property{p.at, serviceIfc, "ExecStart"})
	}
	var after, starts []string
	for i, a := range l.getAll(ctx, asked) {
		if err := lost(ctx, l, a.err); err != nil {
			return p, err
		}
		if a.err != nil {
			continue // an older systemd lacks the property (Upholds: 249)
		}
		names, _ := a.value.Value().([]string)
		switch asked[i].name {
		case "FragmentPath":
			file, _ := a.value.Value().(string)
			p.files = append(p.files, file)
		case "DropInPaths":
			p.files = append(p.files, names...)
		case "After":
			after = names
		case "ExecStart":
			p.pulls = pullsImage(a.value)
		default:
			starts = append(starts, names...)
		}
	}
	names := slices.Concat(after, starts)
	listed, err := l.listByNames(ctx, names)
	if err != nil {
		return p, err
	}
	for i, u := range listed {
		isAfter := i < len(after)
		switch {
		case isNetwork(names[i]):
			// A user's manager has no such target, and ignores an order after it.
			p.ordered = p.ordered || isAfter && u.Load == "loaded"
		case isAfter:
			p.after = append(p.after, u)
		case u.Load == "loaded" && u.Active != "active":
			p.starts = append(p.starts, u.Name)
		}
	}
	return p, nil
}

// pullsImage reports whether a command of ExecStart= pulls an image whenever it runs.
func pullsImage(v dbus.Variant) bool {
	var commands []execCommand
	if v.Store(&commands) != nil {
		return false
	}
	return slices.ContainsFunc(commands, func(c execCommand) bool {
		i := slices.Index(c.Argv, "pull")
		plain := (i == 1 || i == 2 && c.Argv[1] == "image") && !slices.Contains(c.Argv, "missing") // --policy
		always := slices.Contains(c.Argv, "--pull=always")
		if i := slices.Index(c.Argv, "--pull"); i >= 0 && i+1 < len(c.Argv) {
			always = always || c.Argv[i+1] == "always"
		}
		return strings.HasSuffix(c.Path, "/podman") && (plain || always)
	})
}

// needsNetwork says why a unit needs the network, in words for the operator. It is empty if it does not.
func (p part) needsNetwork() string {
	switch {
	case p.pulls:
		return p.name + " pulls an image"
	case p.ordered && !p.byTemplate():
		return p.name + " is ordered after " + networkTarget + ", which is not reached"
	}
	return ""
}

// byTemplate reports whether the only order after the network is the one that podman's templates have. A file
// that cannot be read may have an order of the operator.
func (p part) byTemplate() bool {
	for i, file := range p.files {
		content, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		options, err := unitfile.DeserializeOptions(strings.NewReader(string(content)))
		if err != nil {
			return false
		}
		orders := 0
		for _, o := range options {
			if o.Section == "Unit" && o.Name == "After" && slices.ContainsFunc(strings.Fields(o.Value), isNetwork) {
				orders++
			}
		}
		if i == 0 && (isGenerated(string(content)) || isQuadlet(file, options)) {
			orders--
		} else if i == 0 {
			return false
		}
		if orders > 0 {
			return false
		}
	}
	return len(p.files) > 0
}

// isGenerated reports whether podman-generate-systemd(1) wrote the text of a unit.
func isGenerated(text string) bool { return strings.Contains(text, "\n# autogenerated by Podman ") }

// isQuadlet reports whether Quadlet put its order after the network into a unit. It does so in the first lines of
// [Unit], unless the file has DefaultDependencies=false in [Quadlet] (podman-systemd.unit(5)).
func isQuadlet(file string, options []*unitfile.UnitOption) bool {
	if !strings.Contains(file, "/systemd/generator/") {
		return false
	}
	var first []*unitfile.UnitOption
	for _, o := range options {
		if o.Section == "Unit" {
			first = append(first, o)
		}
	}
	is := func(o *unitfile.UnitOption, name string) bool { return o.Name == name && isNetwork(o.Value) }
	return len(first) > 1 && is(first[0], "Wants") && is(first[1], "After")
}
