// Package machine boots a real Debian with systemd and podman for tests. The
// machine is a systemd-nspawn container on an overlay over a cached tree. A
// fresh one boots in about a second, and many can run side by side.
//
// A test says
//
//	m := machine.Start(t)
//	m.Quadlet(1000, "web.container", "[Container]\nImage=localhost/testapp:1\n")
//	m.As(1000).MustRun("systemctl", "--user", "start", "web.service")
//	m.PullPlug()
//	m.Boot()
//
// and needs no clean-up. It needs root, and the host's mmdebstrap and
// systemd-container ("make deps" installs both).
//
// # How it works
//
// [Tree] makes the lower layer of the disk once, with mmdebstrap and setup.sh.
// It keeps the tree in the cache directory, under a hash of all its inputs. A
// second cached directory, the store, holds podman's storage with the test
// image, for root and for the user. To make it, the package boots a machine and
// imports the image there. A spec may name more images (see [ImageSpec]).
//
// Every machine has a supervisor. It is this same program, started again with
// another argv[0] (see supervise). It is PID 1 of its own PID namespace, with
// its own mount namespace and its own cgroup. It mounts the overlay, binds a
// copy of the store over it, and runs systemd-nspawn on request. It lives from
// Start to the end of the test, also while the machine is off. Its mount
// namespace then gives access to the machine's files.
//
// # Clean-up
//
// The supervisor reads its orders from a pipe. Only the test process holds the
// other end. When that process ends in any way, the kernel closes the pipe. The
// supervisor then kills the machine, removes its cgroup and its directory, and
// exits. If the supervisor itself is killed, the kernel ends its PID namespace,
// with every process and mount in it. The next supervisor to start removes the
// directory and the empty cgroup: their lock file is free.
//
// # Differences from a user's machine
//
// The machine is Debian with the distribution's own systemd, podman and D-Bus.
// The differences below limit what a test result means.
//
// Because the machine is a container on a foreign kernel:
//
//   - The kernel, its clock and its load are the host's. There is no initial
//     RAM disk, no udev, no panic and no pstore.
//   - PullPlug kills every process at once. Data that was written and not
//     synced survives in the host's page cache. Only the power tests lose it.
//   - The units that set kernel parameters, load modules, register binary
//     formats or mount kernel file systems are masked (setup.sh lists them).
//     They would change the host's kernel, or fail.
//   - nspawn gives the machine all capabilities, all known system calls,
//     /dev/fuse, and writable /proc and /sys. podman needs these, and a real
//     host has them.
//   - The cgroup hierarchy is version 2 only. It has only the controllers that
//     the host has free. The pids controller is often missing, so pids_limit=0
//     is set for containers.
//   - The machine has a network namespace of its own, and in it an interface with an
//     address and a default route (uplink.service). They lead to nobody: no name of
//     the Internet resolves, and nothing can be pulled. Containers have networks of
//     their own, as podman makes them: netavark's bridges for root, and pasta for a
//     user, on Debian 12 slirp4netns. [HostNetwork] changes that for one test.
//   - udev does not run, so a line of tmpfiles.d makes /dev/net/tun, which pasta needs.
//   - podman's storage is a plain directory on a bind mount, because podman's
//     overlay driver does not work on an overlay. A soft reboot loses this
//     mount, so tests of a soft reboot have no containers.
//
// Because the tree is made without a running system, and lives for seconds:
//
//   - It is a minimal Debian without recommended packages; [Spec] has the list.
//     On Debian 12, runc replaces crun, since crun 1.8 fails where it may not
//     raise RLIMIT_MEMLOCK.
//   - It has no program that configures a network. Debian's installer adds
//     ifupdown or NetworkManager, and its cloud images have systemd-networkd with
//     cloud-init. As on a plain Debian 13, nothing wants network-online.target at
//     boot. So the target is reached as soon as a unit wants it, such as
//     archy-recovery.service or a rootful Quadlet unit. NetworkManager and
//     systemd-networkd enable a wait-online service, which delays the target;
//     [Machine.DelayNetwork] is the test's, and
//     [Machine.GiveUpNetwork] is one that fails.
//   - podman.socket is enabled for root and for all users. A bare tree does not
//     enable it.
//   - The user archy (uid 1000) lingers, so the boot starts its manager. Its
//     directories for Quadlet files and containers exist already.
//   - The machine ID is fixed and /usr is marked as up to date. Otherwise every
//     boot would be a first boot, with presets and rebuilt caches.
//   - journald stores persistently, without a rate limit, and at most 64 MB.
//     Its sync interval is the default of five minutes, as on a user's machine.
//   - Timers of package updates, backups and clean-ups are masked, as are
//     podman-auto-update.timer and the console's getty. They add only load and
//     noise. On a user's machine apt's timers start services that want
//     network-online.target, at random hours.
//   - Most machines have one image with one static program, test/testapp. It does what
//     its flags say, and needs almost no time to start. TestRealSoftware has databases.
//
// Because tests act on it from outside:
//
//   - [Shell.Command] enters the machine's namespaces, but no unit's cgroup.
//   - The package under test is installed from a file, with dpkg.
//   - [Machine.Boot] waits for the system's manager and for the user's manager.
//
// The packages that use machines add their own settings. The ones that matter for
// a result:
//
//   - test/recovery sets LogLevel=debug in every machine. Most of its tests make
//     containers before they enable the instance. For a user they first start
//     network-online.target by hand, as README.md says, and run one podman command:
//     the image is there already, so no pull was the first. TestEveryKind does neither.
//   - Tests that crash a machine several times within seconds set SoakSec= and
//     ProbationSec= to 1 to 4 s. TestPower keeps the defaults. With the
//     defaults every container would become a suspect, and suspects start in
//     groups that are a soak apart.
//   - Tests of failing containers set RetryPauseSec=1 to save time. Tests of containers
//     that hang set FirstAttemptSec= and SecondAttemptSec= to some seconds.
//   - Tests that kill the daemon often lift the unit's start limit, and those
//     that need it dead set Restart=no.
//   - test/power removes the user's lingering: no manager of the user runs, and
//     each boot is seconds shorter.
//   - test/power runs this same tree on a kernel of its own (see test/vm). It
//     unmasks the units that set up a kernel, and masks udev. pids_limit is podman's
//     own there, and the network is QEMU's.
//   - test/bench adds Docker and strace to the tree, and disables the services
//     under comparison, so that each measurement starts from an idle machine.
package machine
