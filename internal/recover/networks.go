package recover

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A NetworkCheck is what a look at the kernel's rules of podman's bridge networks found.
type NetworkCheck struct {
	Lost []LostRules `json:"lost"`
	// Unknown says why it is not known whether all rules are there, empty if it is.
	Unknown string `json:"unknown,omitempty"`
}

// LostRules are rules that podman's network program made for a container in a network, and that
// the kernel does not have any more.
type LostRules struct {
	// Container is podman's ID of it.
	Container string `json:"container"`
	Network   string `json:"network"`
	// Whole: the network has no rules at all. Otherwise only Ports have none.
	Whole bool `json:"whole,omitempty"`
	// Ports are those of the host that lead to the container, such as "8080/tcp".
	Ports []string `json:"ports,omitempty"`
}

// says tells in words what is gone.
func (l LostRules) says() string {
	ports := strings.Join(l.Ports, ", ")
	switch {
	case !l.Whole:
		return fmt.Sprintf("the rules of its published ports are gone (%s, network %s)", ports, l.Network)
	case ports == "":
		return fmt.Sprintf("the rules of its network %s are gone", l.Network)
	}
	return fmt.Sprintf("the rules of its network %s are gone, with those of its published ports (%s)", l.Network, ports)
}

// ReloadNetworks is the cure, which podman's API has no call for.
const ReloadNetworks = "podman network reload --all brings them back, and stops nothing"

// Repairs names the running containers that lack rules, in order, and the cure.
func (c NetworkCheck) Repairs(stored []StoredName) []Repair {
	var repairs []Repair
	for _, s := range stored {
		var faults []string
		for _, l := range c.Lost {
			if s.Running && s.ID == l.Container {
				faults = append(faults, l.says())
			}
		}
		if len(faults) > 0 {
			slices.Sort(faults)
			repairs = append(repairs, Repair{Container: s.Name, Fault: strings.Join(faults, "; "), Steps: []RepairStep{},
				Refused: "podman's API cannot mend that. " + ReloadNetworks})
		}
	}
	slices.SortFunc(repairs, func(a, b Repair) int { return cmp.Compare(a.Container, b.Container) })
	return repairs
}

// Note says in one line which running containers lack rules, empty if none does.
func (c NetworkCheck) Note(stored []StoredName) string {
	var names []string
	for _, r := range c.Repairs(stored) {
		names = append(names, r.Container)
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("a firewall has dropped rules of podman's networks, so that others do not reach %s, or these "+
		"do not reach others. %s. archy-recovery repair looks again", strings.Join(names, " "), ReloadNetworks)
}
