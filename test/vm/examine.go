package vm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Examine checks the disk of a machine that is off. It copies the disk, and
// mounts the copy, which replays the file system's journal. Then it copies the
// directory, unmounts the disk and checks the file system.
//
// It returns the path of the directory's copy, which exists until the test's end
// or the next Examine. damage is the result of the check: nil if it found none.
// The host's kernel replays the journal, not the guest's.
func (m *VM) Examine(directory string) (copied string, damage error) {
	m.t.Helper()
	if m.q.Load() != nil {
		m.t.Fatalf("vm: examine: the machine is on")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	image := filepath.Join(m.dir, "examined.img")
	defer os.Remove(image)
	m.must("copy the disk", copyFile(ctx, filepath.Join(m.dir, diskName), image))
	copied = filepath.Join(m.dir, "examined")
	m.must("examine", os.RemoveAll(copied))
	options := strings.Trim("loop,"+m.opts.FS.Flags+","+m.opts.FS.copyFlags, ",")
	_, err := host(ctx, "sh", "-c", `set -eu
		mount -t tmpfs tmpfs /mnt
		mkdir /mnt/disk
		mount -t "$2" -o "$3" "$1" /mnt/disk
		cp -a "/mnt/disk$4" "$5"
		umount /mnt/disk`, "sh", image, m.opts.FS.Type, strings.ReplaceAll(options, ",,", ","), directory, copied)
	m.must("mount the disk", err)
	if out, err := host(ctx, append(m.opts.FS.check, image)...); err != nil {
		damage = fmt.Errorf("%w\n%s", err, out)
	}
	return copied, damage
}
