package machine

import (
	"os/exec"
	"strconv"
)

// Link connects two machines that are on by a cable: the interface cable0 of each, with
// these addresses (such as 198.51.100.1/24). It is gone when one of them goes off.
func (m *Machine) Link(address string, other *Machine, otherAddress string) {
	m.t.Helper()
	mine, err := m.host.leaderPID()
	if err != nil {
		m.t.Fatalf("machine: link: %v", err)
	}
	theirs, err := other.host.leaderPID()
	if err != nil {
		m.t.Fatalf("machine: link: %v", err)
	}
	out, err := exec.Command("nsenter", "--target", strconv.Itoa(mine), "--net",
		"ip", "link", "add", "cable0", "type", "veth", "peer", "name", "cable0",
		"netns", strconv.Itoa(theirs)).CombinedOutput()
	if err != nil {
		m.t.Fatalf("machine: link: %v\n%s", err, out)
	}
	for end, address := range map[*Machine]string{m: address, other: otherAddress} {
		end.MustRun("ip", "address", "add", address, "dev", "cable0")
		end.MustRun("ip", "link", "set", "cable0", "up")
	}
}
