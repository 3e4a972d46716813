#!/bin/sh
# Fills a new file system with the content of a machine's disk. It runs in its
# own mount namespace, so nothing stays mounted when it ends. A change of this
# file makes new disks. Arguments: image, mount options, guest program, then
# pairs of a directory and its place on the disk.
set -eu
image=$1 options=$2 guest=$3
shift 3

mount -t tmpfs tmpfs /mnt
mkdir /mnt/disk
disk=/mnt/disk
mount -o "loop,$options" "$image" $disk
while [ $# -gt 0 ]; do
	mkdir -p "$disk/$2"
	cp -a "$1/." "$disk/$2"
	shift 2
done
# QEMU loads the kernel from a file of the host.
rm -f $disk/boot/*

# setup.sh of test/machine masks these for a container. This machine has its own
# kernel.
for unit in systemd-sysctl.service systemd-modules-load.service sys-fs-fuse-connections.mount; do
	rm -f $disk/etc/systemd/system/$unit
done
# No user logs in, and the console is for the kernel. No device appears later: the
# kernel makes the device nodes and loads modules on request. udev's other work
# would take a third of a boot.
for unit in getty@.service serial-getty@.service systemd-udev-trigger.service systemd-udevd.service \
	systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-load-credentials.service \
	systemd-hwdb-update.service kmod-static-nodes.service systemd-tmpfiles-setup-dev-early.service \
	netavark-dhcp-proxy.service netavark-dhcp-proxy.socket; do
	ln -sf /dev/null $disk/etc/systemd/system/$unit
done

# This kernel has all cgroup controllers.
rm $disk/etc/containers/containers.conf.d/50-machine.conf
# The address that QEMU's router would give by DHCP. systemd-networkd needs udev.
echo virtio_net >$disk/etc/modules-load.d/lan.conf
cat >$disk/etc/systemd/system/uplink.service <<'UNIT'
[Unit]
Description=The Machine's Network
DefaultDependencies=no
After=systemd-modules-load.service
Conflicts=shutdown.target
Before=network-online.target shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip link set eth0 up
ExecStart=ip address add 10.0.2.15/24 dev eth0
ExecStart=ip route add default via 10.0.2.2

[Install]
WantedBy=multi-user.target
UNIT

# The agent must survive the tests that run out of memory.
install -D -m 0755 "$guest" $disk/usr/local/lib/archy-vm/guest
cat >$disk/etc/systemd/system/archy-agent.service <<'UNIT'
[Unit]
Description=Agent that runs the test's commands
DefaultDependencies=no
After=local-fs.target
Conflicts=shutdown.target

[Service]
ExecStart=/usr/local/lib/archy-vm/guest
Restart=always
RestartSec=0
KillMode=process
OOMScoreAdjust=-1000

[Install]
WantedBy=sysinit.target
UNIT
mkdir -p $disk/etc/systemd/system/sysinit.target.wants
ln -s ../archy-agent.service $disk/etc/systemd/system/sysinit.target.wants/archy-agent.service
umount $disk
