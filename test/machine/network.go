package machine

// The files of a late network.
const (
	waitOnlineUnit = "/etc/systemd/system/wait-online.service"
	waitOnlineLink = "/etc/systemd/system/network-online.target.d/wait-online.conf"
	networkUpFile  = "/run/network-up"
)

// The files of a plain network.
const (
	uplinkUnit = "/etc/systemd/system/uplink.service"
	uplinkLate = "/etc/systemd/system/uplink.service.d/late.conf"
)

// plainNetwork removes netns=host: each container has a network of its own, a bridge of
// netavark for root and pasta for the user. The machine has an interface with an address
// and a default route, which lead to nobody; with DelayNetwork it has them from NetworkUp
// on only. The device for pasta is the machine's own, since that of the host is open to
// root alone.
func (m *Machine) plainNetwork() {
	m.t.Helper()
	m.WriteFile("/etc/containers/containers.conf.d/60-plain.conf", "[containers]\nnetns = \"private\"\n", 0o644, 0)
	m.WriteFile("/etc/tmpfiles.d/50-tun.conf", "d /dev/net 0755\nc! /dev/net/tun 0666 root root - 10:200\n", 0o644, 0)
	m.WriteFile(uplinkUnit, "[Unit]\nDescription=The Machine's Network\nDefaultDependencies=no\n"+
		"Conflicts=shutdown.target\nBefore=network-online.target shutdown.target\n"+
		"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=ip link add lan0 type veth peer name lan1\n"+
		"ExecStart=ip link set lan1 up\nExecStart=ip link set lan0 up\nExecStart=ip address add 192.0.2.10/24 dev lan0\n"+
		"ExecStart=ip route add default via 192.0.2.1\n", 0o644, 0)
	m.WriteFile("/etc/systemd/system/multi-user.target.d/uplink.conf", "[Unit]\nWants=uplink.service\n", 0o644, 0)
}

// DelayNetwork makes the network late. From now on, network-online.target is
// reached only after [Machine.NetworkUp], which each boot needs anew. A oneshot
// service delays the target, as the wait-online services of network managers do.
// Those give up after 60 s or more, and the target is then reached without a
// network. This one never gives up.
//
// [Machine.Boot] waits for all start jobs, and so for this one if a unit wants the
// target. Such a test uses [Machine.BootNoWait].
func (m *Machine) DelayNetwork() {
	m.t.Helper()
	m.WriteFile(waitOnlineUnit, "[Unit]\nDescription=Wait for the Test's Network\nDefaultDependencies=no\n"+
		"Conflicts=shutdown.target\nBefore=network-online.target shutdown.target\n"+
		"[Service]\nType=oneshot\nRemainAfterExit=yes\n"+
		"ExecStart=/bin/sh -c 'until test -e "+networkUpFile+"; do sleep 0.1; done'\n", 0o644, 0)
	m.WriteFile(uplinkLate, "[Unit]\nAfter=wait-online.service\n", 0o644, 0)
	// The same as a link in network-online.target.wants, but WriteFile makes no links.
	m.WriteFile(waitOnlineLink, "[Unit]\nWants=wait-online.service\n", 0o644, 0)
	if m.IsOn() {
		m.Reload()
	}
}

// PromptNetwork undoes DelayNetwork, from the next boot on.
func (m *Machine) PromptNetwork() {
	m.t.Helper()
	m.Remove(waitOnlineUnit)
	m.Remove(waitOnlineLink)
	m.Remove(uplinkLate)
}

// NetworkUp ends the delay of DelayNetwork, in this boot only.
func (m *Machine) NetworkUp() {
	m.t.Helper()
	m.WriteFile(networkUpFile, "", 0o644, 0)
}
