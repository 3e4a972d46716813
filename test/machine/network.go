package machine

// The network of a machine counts by network-online.target alone. Nothing of a
// plain Debian wants that target, and nothing on it waits for a network. So the
// target is reached as soon as a unit wants it.

const (
	waitOnlineUnit = "/etc/systemd/system/wait-online.service"
	waitOnlineLink = "/etc/systemd/system/network-online.target.d/wait-online.conf"
	networkUpFile  = "/run/network-up"
)

// DelayNetwork makes the network late from the next boot on. A wait-online
// service, such as a network manager has, delays network-online.target until
// [Machine.NetworkUp]. Without that call the target is never reached.
//
// [Machine.Boot] waits for each start job. So a test boots such a machine with
// [Machine.BootNoWait].
func (m *Machine) DelayNetwork() {
	m.t.Helper()
	m.WriteFile(waitOnlineUnit, "[Unit]\nDescription=Wait for the Test's Network\nDefaultDependencies=no\n"+
		"Conflicts=shutdown.target\nBefore=network-online.target shutdown.target\n"+
		"[Service]\nType=oneshot\nRemainAfterExit=yes\n"+
		"ExecStart=/bin/sh -c 'until test -e "+networkUpFile+"; do sleep 0.1; done'\n", 0o644, 0)
	// A link in network-online.target.wants is the same; WriteFile makes no links.
	m.WriteFile(waitOnlineLink, "[Unit]\nWants=wait-online.service\n", 0o644, 0)
	if m.IsOn() {
		m.Reload()
	}
}

// NetworkUp ends the delay of DelayNetwork, in this boot only.
func (m *Machine) NetworkUp() {
	m.t.Helper()
	m.WriteFile(networkUpFile, "", 0o644, 0)
}
