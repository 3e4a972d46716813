#!/bin/sh
# Fills a new file system with a machine's disk. Runs in a mount namespace of
# its own: however it ends, nothing stays mounted. Changing this file makes new
# disks. Arguments: image, mount options, guest program, then pairs of a
# directory and its place on the disk.
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
# The kernel comes from outside.
rm -f $disk/boot/*

# The machine has a kernel of its own, which the tree's set-up did not expect.
for unit in systemd-sysctl.service systemd-modules-load.service sys-fs-fuse-connections.mount; do
	rm -f $disk/etc/systemd/system/$unit
done
# Nobody logs in, and the console is for the kernel. Nothing is plugged in: the
# kernel makes the device nodes, and loads what is asked for. All that udev does
# beyond that takes a third of a boot.
for unit in getty@.service serial-getty@.service systemd-udev-trigger.service systemd-udevd.service \
	systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-load-credentials.service \
	systemd-hwdb-update.service kmod-static-nodes.service systemd-tmpfiles-setup-dev-early.service \
	systemd-tmpfiles-setup-dev.service netavark-dhcp-proxy.service netavark-dhcp-proxy.socket; do
	ln -sf /dev/null $disk/etc/systemd/system/$unit
done

# The agent must outlive a test that has the memory run out.
install -D -m 0755 "$guest" $disk/usr/local/lib/archy-vm/guest
cat >$disk/etc/systemd/system/archy-agent.service <<'UNIT'
[Unit]
Description=Runs the commands of the test outside
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
