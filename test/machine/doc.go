// Package machine boots a real Debian with systemd and podman for tests, as a
// systemd-nspawn container on an overlay over a cached tree: a fresh machine in
// about a second, as many side by side as the host bears.
//
// A test says
//
//	m := machine.Start(t)
//	m.Quadlet(1000, "web.container", "[Container]\nImage=localhost/testapp:1\n")
//	m.As(1000).MustRun("systemctl", "--user", "start", "web.service")
//	m.PullPlug()
//	m.Boot()
//
// and need not clean up. It needs root and the host's mmdebstrap and
// systemd-container ("make deps").
//
// # How it works
//
// [Tree] makes the disk's lower layer once with mmdebstrap and setup.sh, and
// keeps it in the cache directory, named after a hash of all that went into it.
// A second cached directory, the store, holds what podman makes of the test
// image, for root and for the user: it is made by booting a machine and
// importing the image there.
//
// Every machine has a supervisor: this same program, started again with another
// argv[0] (see supervise), as PID 1 of its own PID namespace, in its own mount
// namespace and its own cgroup. It mounts the overlay, binds a copy of the
// store over it (podman's overlay driver does not work on an overlay), and runs
// systemd-nspawn when told to. It lives from Start to the end of the test, also
// while the machine is off; its mount namespace is how files are reached then.
//
// # Why nothing is left behind
//
// The supervisor reads its orders from a pipe whose other end only the test
// process holds. However that process ends, the kernel closes the pipe: the
// supervisor kills the machine, removes its cgroup and its directory, and
// exits. Should the supervisor itself be killed, the kernel ends its PID
// namespace, and with it every process and every mount; its directory and its
// empty cgroup are then removed by the next supervisor to start, which sees by
// the free lock file that nobody owns them.
//
// # What it cannot show
//
// The kernel is the host's. Pulling the plug kills every process at once, but
// what was written and not synced survives in the page cache, and there is no
// panic and no pstore. The power tests, on a virtual machine, are for that.
package machine
