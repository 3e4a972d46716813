#!/bin/sh
# Turns a bare Debian tree into the disk of the test machine. It runs once for
# each cached tree, as root, in a chroot in the tree. Nothing is booted, and no
# manager runs. A change of this file makes a new tree. doc.go says how the
# result differs from a user's machine.
set -eu

# The user whose rootless containers are tested. useradd also writes subuid and
# subgid; the linger file gives the user a manager at boot.
useradd --create-home --uid 1000 --shell /bin/bash archy
grep -q '^archy:' /etc/subuid /etc/subgid
mkdir -p /var/lib/systemd/linger
touch /var/lib/systemd/linger/archy
install -d -o archy -g archy /home/archy/.config /home/archy/.config/containers \
	/home/archy/.config/containers/systemd \
	/home/archy/.local /home/archy/.local/share /home/archy/.local/share/containers
mkdir -p /etc/containers/systemd /var/lib/containers

# The machine has no pids controller if the host's unified hierarchy has none.
mkdir -p /etc/containers/containers.conf.d
printf '[containers]\npids_limit = 0\n' > /etc/containers/containers.conf.d/50-machine.conf

# The network that a user's machine gets from its router: an interface with an
# address and a default route. They lead to nobody.
cat > /etc/systemd/system/uplink.service <<'UNIT'
[Unit]
Description=The Machine's Network
DefaultDependencies=no
Conflicts=shutdown.target
Before=network-online.target shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip link add lan0 type veth peer name lan1
ExecStart=ip link set lan1 up
ExecStart=ip link set lan0 up
ExecStart=ip address add 192.0.2.10/24 dev lan0
ExecStart=ip route add default via 192.0.2.1

[Install]
WantedBy=multi-user.target
UNIT
systemctl enable uplink.service
# pasta needs this device. nspawn makes none, and udev, which would, does not run.
printf 'd /dev/net 0755\nc! /dev/net/tun 0666 root root - 10:200\n' > /etc/tmpfiles.d/50-tun.conf

# A fixed machine ID. With an empty one, the first boot of every machine would be
# a systemd "first boot", which applies presets over the settings below.
echo 0123456789abcdef0123456789abcdef > /etc/machine-id
echo archy > /etc/hostname
printf '127.0.0.1 localhost archy\n::1 localhost\n' > /etc/hosts

# The journal must outlive a boot: many tests read the journal of the boot that
# crashed. No entry may be dropped by a rate limit.
mkdir -p /var/log/journal
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=persistent\nRateLimitBurst=0\nSystemMaxUse=64M\n' \
	> /etc/systemd/journald.conf.d/50-machine.conf

systemctl enable podman.socket
systemctl --global enable podman.socket

# The kernel is the host's. No unit of the machine may set its parameters, load
# its modules, register binary formats or mount its debugging file systems.
for unit in systemd-sysctl.service systemd-modules-load.service \
	systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
	modprobe@.service sys-kernel-debug.mount sys-kernel-tracing.mount \
	sys-kernel-config.mount sys-fs-fuse-connections.mount dev-hugepages.mount; do
	ln -s /dev/null "/etc/systemd/system/$unit"
done

# Units for a server that runs for months. A machine runs for seconds, and these
# would only add load and noise to its boot.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
	fstrim.timer e2scrub_all.timer e2scrub_reap.service man-db.timer \
	podman-auto-update.timer systemd-tmpfiles-clean.timer console-getty.service; do
	ln -sf /dev/null "/etc/systemd/system/$unit"
done

# Otherwise the first boot of every machine would do the work that follows an
# update of /usr: linker cache, catalog and system users. All of these exist.
journalctl --update-catalog
touch /etc/.updated /var/.updated
