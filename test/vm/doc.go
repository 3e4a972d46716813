// Package vm boots the machine of test/machine as a whole virtual one, with a
// kernel, a disk and firmware of its own, under QEMU without KVM: for what a
// container cannot show. Pulling its plug loses the page cache, its kernel can
// panic, hang and run out of memory, and its firmware keeps what the kernel
// said last.
//
//	m := vm.Start(t, vm.Options{FS: vm.XFS})
//	m.Boot()
//	m.MustRun("systemctl", "start", "web")
//	m.PullPlug()
//	m.Boot("sysctl.vm.panic_on_oom=1")
//
// It needs what test/machine needs, and qemu-system-x86_64 and the programs
// that make and check the file systems ("make power-test" installs them).
//
// # How it works
//
// The disk is the cached tree of test/machine with a kernel's modules and the
// test image in podman's stores, made once a file system and copied for each
// machine. The kernel is booted directly, with a tiny initial RAM disk (see
// guest): half a minute becomes a third of one. In the machine an agent runs
// the test's commands; it and the test talk over a virtio serial port.
//
// QEMU runs with cache=unsafe: what the guest wrote is in the host's page cache
// when its write is complete, and survives a SIGKILL of QEMU; what was in the
// guest's page cache, or on its way, does not. A disk that loses what it has
// acknowledged is not shown.
//
// # Why nothing is left behind
//
// QEMU, and whatever the host does for a machine, has the kernel kill it when
// the thread that started it ends, so when the test does, in whatever way. A
// machine's directory is locked while its test lives; those that are not are
// removed by the next machine to start.
package vm
