package firewall

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// netavark notes what it makes before it makes it, and takes the note away before the rules. So what
// lacks is looked for again, and must lack each time: looks are so many, and so far apart.
const (
	looks     = 4
	lookAgain = 500 * time.Millisecond
)

// Check looks whether the kernel has the rules that netavark made for root's containers. It reads the
// notes in directory, which is NotesDirectory, and asks the kernel, for which it needs CAP_NET_ADMIN.
// It takes a moment if all is there, and 2 s otherwise. What cannot be told is Unknown, and not lost.
func Check(ctx context.Context, directory string) recover.NetworkCheck {
	return check(ctx, func() ([]note, error) { return notesOf(directory) }, kernelRules)
}

func check(
	ctx context.Context, noted func() ([]note, error), kernel func() (rules, error),
) (found recover.NetworkCheck) {
	found.Lost = []recover.LostRules{}
	var seen map[string]recover.LostRules
	for look := range looks {
		lost, err := lostNow(noted, kernel)
		if err != nil {
			found.Unknown = err.Error()
			return found
		}
		if look > 0 {
			lost = both(seen, lost)
		}
		if seen = lost; len(seen) == 0 {
			return found
		}
		if look < looks-1 && !sleep(ctx, lookAgain) {
			found.Unknown = "the look was cut short"
			return found
		}
	}
	for _, l := range seen {
		found.Lost = append(found.Lost, l)
	}
	slices.SortFunc(found.Lost, func(a, b recover.LostRules) int {
		return cmp.Or(cmp.Compare(a.Container, b.Container), cmp.Compare(a.Network, b.Network))
	})
	return found
}

// sleep waits for d, and reports whether ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// lostNow is one look. Its keys are a container with a network.
func lostNow(noted func() ([]note, error), kernel func() (rules, error)) (map[string]recover.LostRules, error) {
	all, err := noted()
	if err != nil || len(all) == 0 {
		return nil, err
	}
	has, err := kernel()
	if err != nil {
		return nil, err
	}
	lost := map[string]recover.LostRules{}
	for _, n := range all {
		if l := n.lost(has); l.Whole || len(l.Ports) > 0 {
			lost[n.Container+" "+n.NetworkID] = l
		}
	}
	return lost, nil
}

// both is what is lost in two looks, as the later one has it.
func both(before, now map[string]recover.LostRules) map[string]recover.LostRules {
	maps.DeleteFunc(now, func(key string, _ recover.LostRules) bool {
		_, was := before[key]
		return !was
	})
	return now
}

// lost is what the kernel lacks of a note. An internal network has none of these rules.
func (n note) lost(has rules) recover.LostRules {
	l := recover.LostRules{Container: n.Container, Network: n.Network}
	if n.Internal {
		return l
	}
	var chains []string
	for _, subnet := range []string{n.Subnet4, n.Subnet6} {
		if subnet == "" {
			continue
		}
		chain := chainOf(n.NetworkID, subnet)
		l.Whole = l.Whole || !has.filled[chain]
		chains = append(chains, chain+"_dnat")
	}
	for _, m := range n.Ports {
		for number := int(m.HostPort); number < int(m.HostPort)+max(1, int(m.Range)); number++ {
			if !has.sendsOn(chains, m.Protocol, number) {
				l.Ports = append(l.Ports, fmt.Sprintf("%d/%s", number, m.Protocol))
			}
		}
	}
	return l
}

// sendsOn reports whether one of the chains sends a port on. An address of the host may have the port
// for IPv4 or for IPv6 alone. A protocol or a number that is not known is no proof.
func (r rules) sendsOn(chains []string, protocol string, number int) bool {
	p := port{protocols[protocol], uint16(number)} //nolint:gosec // see the next line
	if p.protocol == 0 || number < 1 || number > 65535 || len(chains) == 0 {
		return true
	}
	for _, chain := range chains {
		if r.ports[chain][p] {
			return true
		}
	}
	return false
}

// chainOf is the name of netavark's chain for a subnet of a network.
func chainOf(networkID, subnet string) string {
	subnet = strings.NewReplacer(".", "_", ":", "-", "/", "_nm").Replace(subnet)
	return "nv_" + networkID[:min(8, len(networkID))] + "_" + subnet
}
