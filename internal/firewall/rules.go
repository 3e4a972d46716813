package firewall

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A port is one of the host, with the number of its protocol.
type port struct {
	protocol byte
	number   uint16
}

// rules are what the kernel has of a network: which of netavark's chains have a rule, and which
// ports a chain sends on to a container.
type rules struct {
	filled map[string]bool
	ports  map[string]map[port]bool
}

func newRules() rules { return rules{map[string]bool{}, map[string]map[port]bool{}} }

// table is netavark's, for IPv4 and IPv6.
const table = "netavark"

// kernelRules asks the kernel for netavark's rules, over netlink(7). It needs CAP_NET_ADMIN. That
// there is no such table is an answer, and no error.
func kernelRules() (rules, error) {
	found := newRules()
	kernel, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return found, fmt.Errorf("the kernel does not tell its rules: %w", err)
	}
	defer kernel.CloseLasting() //nolint:errcheck // nothing was changed
	chains, err := kernel.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return found, fmt.Errorf("the kernel does not tell its rules: %w", err)
	}
	for _, chain := range chains {
		if chain.Table.Name != table || !strings.HasPrefix(chain.Name, "nv_") {
			continue
		}
		list, err := kernel.GetRules(chain.Table, chain)
		if err != nil {
			return found, fmt.Errorf("the kernel does not tell the rules of %s: %w", chain.Name, err)
		}
		found.add(chain.Name, list)
	}
	return found, nil
}

// add adds a chain with its rules.
func (r rules) add(chain string, list []*nftables.Rule) {
	r.filled[chain] = len(list) > 0
	r.ports[chain] = map[port]bool{}
	for _, rule := range list {
		if p, ok := sentOn(rule.Exprs); ok {
			r.ports[chain][p] = true
		}
	}
}

// sentOn is the port that a rule sends on to a container, false if it is another rule. The last
// value that was loaded before a comparison is what is compared.
func sentOn(exprs []expr.Any) (p port, is bool) {
	protocol, number := false, false
	for _, e := range exprs {
		switch e := e.(type) {
		case *expr.Meta:
			protocol, number = e.Key == expr.MetaKeyL4PROTO, false
		case *expr.Payload:
			protocol = false
			number = e.Base == expr.PayloadBaseTransportHeader && e.Offset == 2 && e.Len == 2
		case *expr.Cmp:
			switch {
			case e.Op != expr.CmpOpEq:
			case protocol && len(e.Data) == 1:
				p.protocol = e.Data[0]
			case number && len(e.Data) == 2:
				p.number = binary.BigEndian.Uint16(e.Data)
			}
		case *expr.NAT:
			is = e.Type == expr.NATTypeDestNAT
		}
	}
	return p, is && p.protocol != 0 && p.number != 0
}

// protocols are the ones that podman publishes ports of, with their numbers.
var protocols = map[string]byte{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP, "sctp": unix.IPPROTO_SCTP}
