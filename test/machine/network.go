package machine

// The files of a late network.
const (
	waitOnlineUnit = "/etc/systemd/system/wait-online.service"
	waitOnlineLink = "/etc/systemd/system/network-online.target.d/wait-online.conf"
	networkUpFile  = "/run/network-up"
)

// The files of a wait for the network that was given up.
const (
	uplinkWanted  = "/etc/systemd/system/multi-user.target.wants/uplink.service"
	uplinkPath    = "/etc/systemd/system/uplink.path"
	uplinkTrigger = "/etc/systemd/system/multi-user.target.d/uplink.conf"
)

// uplinkLate orders the unit of setup.sh that gives the machine its network.
const uplinkLate = "/etc/systemd/system/uplink.service.d/late.conf"

// hostNetwork has containers share the machine's network, as netns=host does.
func (m *Machine) hostNetwork() {
	m.t.Helper()
	m.WriteFile("/etc/containers/containers.conf.d/60-host-network.conf",
		"[containers]\nnetns = \"host\"\n", 0o644, 0)
}

// DelayNetwork makes the network late. From the next boot on, the machine has an
// address, a route and network-online.target only after [Machine.NetworkUp], which
// each boot needs anew. A oneshot
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

// GiveUpNetwork has the wait for the network fail at boot, as a network manager's does
// whose router boots more slowly than it waits. From the next boot on,
// network-online.target is reached without a network, and the machine has an address
// and a route after [Machine.NetworkUp]. Nothing tells programs of that.
func (m *Machine) GiveUpNetwork() {
	m.t.Helper()
	m.WriteFile(waitOnlineUnit, "[Unit]\nDescription=Wait in Vain for the Test's Network\nDefaultDependencies=no\n"+
		"Conflicts=shutdown.target\nBefore=network-online.target shutdown.target\n"+
		"[Service]\nType=oneshot\nExecStart=/bin/false\n", 0o644, 0)
	m.WriteFile(waitOnlineLink, "[Unit]\nWants=wait-online.service\n", 0o644, 0)
	m.Remove(uplinkWanted)
	m.WriteFile(uplinkPath, "[Path]\nPathExists="+networkUpFile+"\n", 0o644, 0)
	m.WriteFile(uplinkTrigger, "[Unit]\nWants=uplink.path\n", 0o644, 0)
}
