// Package vm boots the tree of test/machine as a whole virtual machine: with its
// own kernel, disk and firmware, under QEMU. It shows what a container
// cannot. A power failure loses the page cache. The kernel can panic,
// hang and run out of memory. The firmware keeps the kernel's last messages.
//
//	m := vm.Start(t, vm.Options{FS: vm.XFS})
//	m.Boot()
//	m.MustRun("systemctl", "start", "web")
//	m.PullPlug()
//	m.Boot("sysctl.vm.panic_on_oom=1")
//
// It needs the same as test/machine, qemu-system-x86_64, and the programs that
// make and check the file systems ("make power-test" installs all of them).
//
// # How it works
//
// The disk holds the cached tree of test/machine, the modules of a kernel, and
// podman's stores with the test image. It is made once for each file system and
// copied for each machine. QEMU boots the kernel directly, with a tiny initial
// RAM disk (see guest). With KVM a boot takes seconds, and without it half a
// minute. The network is QEMU's own router (user-mode networking): it gives the machine
// an address and a route, and leads nowhere. In the machine an agent runs the test's
// commands. It and the test exchange messages over a virtio serial port.
//
// QEMU runs with cache=unsafe. A completed write of the guest is in the host's
// page cache, and survives a SIGKILL of QEMU. Data in the guest's page cache does
// not. The tests do not show a disk that loses acknowledged writes.
//
// # Clean-up
//
// The kernel kills QEMU and the host's helpers when the thread that started them
// ends. So they end when the test ends in any way. A machine's directory is locked
// while its test lives. The next machine to start removes those
// directories that are not locked.
package vm
