package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// initramfs loads modules, mounts the disk and starts systemd. It omits all that a
// distribution's initial RAM disk does for unknown hardware, because a boot
// without KVM is slow. The modules are in /modules, sorted in the order of loading.
func initramfs() error {
	if err := unix.Mount("devtmpfs", "/dev", "devtmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount /dev: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	modules, err := filepath.Glob("/modules/*") // sorted
	if err != nil {
		return err
	}
	for _, module := range modules {
		if err := loadModule(module); err != nil {
			return fmt.Errorf("load %s: %w", module, err)
		}
	}
	params, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	fs, options := param(string(params), "rootfstype"), param(string(params), "rootflags")
	if err := unix.Mount("/dev/vda", "/root", fs, 0, options); err != nil {
		return fmt.Errorf("mount the disk as %s (%s): %w", fs, options, err)
	}
	// This is what switch_root(8) does, without the removal of the old files.
	for _, dir := range []string{"/dev", "/proc"} {
		if err := unix.Mount(dir, "/root"+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s: %w", dir, err)
		}
	}
	err = errors.Join(os.Chdir("/root"), unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."), os.Chdir("/"))
	if err != nil {
		return fmt.Errorf("switch to the disk: %w", err)
	}
	return unix.Exec("/sbin/init", []string{"/sbin/init"}, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb"})
}

func loadModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", unix.MODULE_INIT_COMPRESSED_FILE)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// param returns the value of a kernel parameter.
func param(cmdline, name string) string {
	for word := range strings.FieldsSeq(cmdline) {
		if value, ok := strings.CutPrefix(word, name+"="); ok {
			return value
		}
	}
	return ""
}
