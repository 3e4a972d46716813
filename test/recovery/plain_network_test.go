package recovery

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"archy-recovery/test/machine"
)

// Containers have networks of their own, for both users: a bridge with DNS and
// published ports for root, pasta with published ports for the user, and a network
// file of Quadlet's for both. All of it is there again after a cut.
func TestContainersHaveNetworks(t *testing.T) {
	t.Parallel()
	m := machine.Start(t)
	m.Systemctl("start", "network-online.target")
	for i, uid := range []int{0, machine.User} {
		s := m.As(uid)
		s.MustRun("podman", "ps")
		m.Quadlet(uid, "lan.network", "[Network]\n")
		for j, name := range []string{"near", "far"} {
			m.Quadlet(uid, name+".container", fmt.Sprintf("[Container]\nImage=%s\nContainerName=%s\nNetwork=lan.network\n"+
				"Exec=-tcp 80\nPublishPort=%d:80\n[Install]\nWantedBy=default.target\n", machine.Image, name, 8000+10*i+j))
		}
		m.Quadlet(uid, "alone.container", fmt.Sprintf("[Container]\nImage=%s\nContainerName=alone\nExec=-tcp 80\n"+
			"PublishPort=%d:80\n[Install]\nWantedBy=default.target\n", machine.Image, 8005+10*i))
		s.Systemctl("start", "near", "far", "alone")
	}
	check := func(when string) {
		t.Helper()
		for i, uid := range []int{0, machine.User} {
			for _, port := range []int{8000, 8001, 8005} {
				address := fmt.Sprintf("192.0.2.10:%d", port+10*i)
				m.WaitFor(10*time.Second, when+": an answer of "+address, func() bool {
					out, err := m.Run("curl", "--silent", "--max-time", "2", "telnet://"+address)
					return err == nil && strings.Contains(out, "testapp")
				})
			}
			s := m.As(uid)
			out, err := s.Run("podman", "exec", "near", "/testapp", "-ask", "far:80")
			if err != nil || !strings.Contains(out, "testapp") {
				t.Errorf("%s: uid %d: near does not reach far by its name: %v", when, uid, err)
			}
		}
	}
	check("before the cut")
	m.PullPlug()
	m.Boot()
	check("after the cut")
}
