package vm

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"archy-recovery/test/machine"
)

// A FileSystem is the format of a machine's disk.
type FileSystem struct {
	Name  string // for the names of tests and for reports
	Type  string // the type for mount(8)
	Flags string // the guest's mount options
	// mkfs is the host's command that makes the file system. The file follows as
	// the last argument.
	mkfs []string
	// check is the host's command that looks for damage in an unmounted file and
	// repairs nothing. The file follows as the last argument.
	check []string
	// modules are the guest's kernel modules in the order of loading, without
	// virtio_blk, which comes first.
	modules []string
	// copyFlags are the host's mount options for a copy while the original exists.
	copyFlags string
}

// The file systems on which machines are tested.
var (
	Ext4 = FileSystem{Name: "ext4", Type: "ext4",
		mkfs: []string{"mkfs.ext4", "-q", "-F"}, check: []string{"e2fsck", "-fn"}}
	// With data=writeback, a file can be too long after a crash and hold arbitrary
	// data.
	Ext4Writeback = FileSystem{Name: "ext4 data=writeback", Type: "ext4", Flags: "data=writeback",
		mkfs: Ext4.mkfs, check: Ext4.check}
	XFS = FileSystem{Name: "xfs", Type: "xfs",
		mkfs: []string{"mkfs.xfs", "-q", "-f"}, check: []string{"xfs_repair", "-n"}, copyFlags: "nouuid",
		modules: []string{"libcrc32c", "xfs"}}
	Btrfs = FileSystem{Name: "btrfs", Type: "btrfs",
		mkfs: []string{"mkfs.btrfs", "-q", "-f"}, check: []string{"btrfs", "check", "--readonly"},
		modules: []string{"xor", "raid6_pq", "libcrc32c", "btrfs"}}
)

const (
	diskName   = "disk.img"
	kernelName = "kernel"
	initrdName = "initrd"
	diskSize   = 6 << 30 // sparse
)

//go:embed disk.sh
var diskScript string

// packages are additional Debian packages of a machine with its own kernel.
var packages = []string{"kmod", "linux-image-cloud-amd64", "udev"}

// diskDir returns the cached directory with a disk that was never booted, the
// kernel and the initial RAM disk. A missing directory is made first.
func diskDir(ctx context.Context, opts Options, log io.Writer) (string, error) {
	fs := opts.FS
	layers, key, err := machine.Layers(ctx, machine.Spec{Packages: packages, Images: opts.Images}, log)
	if err != nil {
		return "", err
	}
	guest, err := buildGuest(ctx)
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(fmt.Appendf(guest, "%s %s %v %v", key, diskScript, fs.mkfs, fs.modules))
	name := "vm-" + fs.Type + "-" + hex.EncodeToString(hash[:])[:12]
	return machine.Cached(ctx, name, func(dir string) error {
		fmt.Fprintf(log, "vm: making the %s disk %s\n", fs.Name, dir)
		return makeDisk(ctx, fs, layers, guest, dir)
	})
}

// buildGuest compiles the program that runs inside. The same source gives the
// same bytes.
func buildGuest(ctx context.Context) ([]byte, error) {
	file, err := os.CreateTemp("", "archy-vm-guest-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w",
		"-o", file.Name(), "archy-recovery/test/vm/guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the guest's program: %w\n%s", err, out)
	}
	return os.ReadFile(file.Name())
}

func makeDisk(ctx context.Context, fs FileSystem, layers map[string]string, guest []byte, dir string) error {
	program := filepath.Join(dir, "guest")
	if err := os.WriteFile(program, guest, 0o755); err != nil {
		return err
	}
	kernels, err := filepath.Glob(filepath.Join(layers[""], "boot", "vmlinuz-*"))
	if err != nil || len(kernels) != 1 {
		return fmt.Errorf("the tree %s must hold exactly one kernel, not %q", layers[""], kernels)
	}
	version := strings.TrimPrefix(filepath.Base(kernels[0]), "vmlinuz-")
	if err := copyFile(ctx, kernels[0], filepath.Join(dir, kernelName)); err != nil {
		return err
	}
	names := append([]string{"virtio_blk"}, fs.modules...)
	modules, err := moduleFiles(filepath.Join(layers[""], "usr/lib/modules", version), names)
	if err != nil {
		return err
	}
	var initrd bytes.Buffer
	if err := writeInitrd(&initrd, guest, modules); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, initrdName), initrd.Bytes(), 0o644); err != nil {
		return err
	}

	disk := filepath.Join(dir, diskName)
	if err := os.WriteFile(disk, nil, 0o644); err != nil {
		return err
	}
	if err := os.Truncate(disk, diskSize); err != nil {
		return err
	}
	if _, err := host(ctx, append(fs.mkfs, disk)...); err != nil {
		return err
	}
	args := []string{"sh", "-c", diskScript, "disk.sh", disk, "rw", program, layers[""], ""}
	for place, from := range layers {
		if place != "" {
			args = append(args, from, place)
		}
	}
	_, err = host(ctx, args...)
	return err
}

// moduleFiles returns the files of the kernel modules with these names.
func moduleFiles(dir string, names []string) (files []string, err error) {
	all := map[string]string{}
	err = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		name, _, _ := strings.Cut(filepath.Base(path), ".ko")
		all[name] = path
		return err
	})
	for _, name := range names {
		if all[name] == "" {
			return nil, fmt.Errorf("no module %s below %s (%v)", name, dir, err)
		}
		files = append(files, all[name])
	}
	return files, err
}

// host runs one of the host's programs, isolated, and returns both outputs.
func host(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	err := machine.RunIsolated(ctx, &out, []string{"LC_ALL=C.UTF-8"}, args...)
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", args[0], err, out.String())
	}
	return out.String(), err
}

// copyFile copies a file and keeps its holes.
func copyFile(ctx context.Context, from, to string) error {
	_, err := host(ctx, "cp", "--sparse=always", "--reflink=auto", from, to)
	return err
}
