#!/bin/sh
# Turns a bare Debian tree into the test machine's disk. Runs once for a cached
# tree, as root, in a chroot in the tree: nothing is booted and no manager runs.
# Changing this file makes a new tree.
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

# The machine has no pids controller where the host has none, and no network of
# its own but the loopback: containers are not given a namespace each.
mkdir -p /etc/containers/containers.conf.d
cat > /etc/containers/containers.conf.d/50-machine.conf <<'CONF'
[containers]
pids_limit = 0
netns = "host"
CONF

# A fixed machine ID: an empty one would make every machine's first boot a
# systemd "first boot", which applies presets over what is set here.
echo 0123456789abcdef0123456789abcdef > /etc/machine-id
echo archy > /etc/hostname
printf '127.0.0.1 localhost archy\n::1 localhost\n' > /etc/hosts

# The journal must outlive a boot: reading the dead boot's is half of what is
# tested. Synced often, because a machine lives for seconds, not for days.
mkdir -p /var/log/journal
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nStorage=persistent\nRateLimitBurst=0\nSystemMaxUse=64M\n' \
	> /etc/systemd/journald.conf.d/50-machine.conf

systemctl enable podman.socket
systemctl --global enable podman.socket

# Rootless Quadlet units wait for podman-user-wait-network-online.service, which
# waits 90 s for a network-online.target. On a server something wants it; here
# nothing would.
mkdir -p /etc/systemd/system/multi-user.target.wants
ln -s /usr/lib/systemd/system/network-online.target \
	/etc/systemd/system/multi-user.target.wants/network-online.target

# The kernel is the host's. No unit of the machine may set its parameters, load
# its modules, register binary formats or mount its debugging file systems.
for unit in systemd-sysctl.service systemd-modules-load.service \
	systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
	modprobe@.service sys-kernel-debug.mount sys-kernel-tracing.mount \
	sys-kernel-config.mount sys-fs-fuse-connections.mount dev-hugepages.mount; do
	ln -s /dev/null "/etc/systemd/system/$unit"
done

# Work of a long-lived server that only adds load and noise to a boot that lives
# for seconds.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
	fstrim.timer e2scrub_all.timer e2scrub_reap.service man-db.timer \
	podman-auto-update.timer systemd-tmpfiles-clean.timer \
	systemd-networkd-wait-online.service console-getty.service; do
	ln -sf /dev/null "/etc/systemd/system/$unit"
done

# Else every machine's first boot does what follows an update of /usr: new
# linker cache, catalog and system users, all there already.
journalctl --update-catalog
touch /etc/.updated /var/.updated
