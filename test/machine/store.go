package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// storeVersion is part of the cache key. Change it together with buildStore.
const storeVersion = "1"

// storeDir returns the cached directory with root's and the user's container
// stores. They hold the test image, as podman of this tree stores it. A missing
// directory is made first.
func storeDir(ctx context.Context, spec Spec, tree string, log io.Writer) (string, error) {
	app, err := appKey()
	if err != nil {
		return "", err
	}
	return Cached(ctx, "store-"+spec.key()+"-"+app, func(dir string) error {
		fmt.Fprintf(log, "machine: making the container store %s\n", dir)
		return buildStore(ctx, tree, dir)
	})
}

// buildStore boots a machine with empty stores, has podman import the image for
// both users, and copies the stores after a clean power-off.
func buildStore(ctx context.Context, tree, dir string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	h, err := newHost(ctx, tree, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	// The user can read the root directory, unlike /root. /tmp is another mount.
	if err := putImage(ctx, filepath.Join(h.dir, upperName)); err != nil {
		return err
	}
	if err := h.boot(ctx); err != nil {
		return err
	}
	if err := h.awaitReady(ctx); err != nil {
		return err
	}
	for _, uid := range []int{0, User} {
		s := &Shell{m: &Machine{host: h}, uid: uid}
		if uid != 0 {
			if err := s.awaitUserManager(ctx); err != nil {
				return err
			}
		}
		_, err := s.RunContext(ctx, "podman", "import", "--change", `ENTRYPOINT ["/testapp"]`, "/"+imageTar, Image)
		if err != nil {
			return err
		}
	}
	if err := powerOff(ctx, h, "poweroff"); err != nil {
		return err
	}
	return copyStores(ctx, h.dir, dir)
}

const imageTar = "testapp.tar"

// putImage writes the image's tar file into the root directory of a disk that is
// not in use.
func putImage(ctx context.Context, disk string) error {
	program := filepath.Join(disk, "testapp")
	defer os.Remove(program)
	if err := buildApp(ctx, program); err != nil {
		return err
	}
	var image bytes.Buffer
	if err := writeImage(&image, program); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(disk, imageTar), image.Bytes(), 0o644)
}

// fillStores writes the stores of a machine's directory: copies of the cached
// ones, or empty ones if store is "".
func fillStores(ctx context.Context, dir, store string) error {
	if store != "" {
		return copyStores(ctx, store, dir)
	}
	root, user := filepath.Join(dir, rootStoreName), filepath.Join(dir, userStoreName)
	return errors.Join(os.Mkdir(root, 0o755), os.Mkdir(user, 0o755), os.Chown(user, User, User))
}

// copyStores copies both stores. cp keeps the owners of the user's subordinate
// IDs and the extended attributes, which podman depends on. It shares the blocks
// if the file system can.
func copyStores(ctx context.Context, from, to string) error {
	cmd := exec.CommandContext(ctx, "cp", "--archive", "--reflink=auto",
		filepath.Join(from, rootStoreName), filepath.Join(from, userStoreName), to)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("copy the container stores: %w\n%s", err, out)
	}
	return nil
}
