package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// storeVersion is part of the cache key. Change it together with buildStore.
const storeVersion = "1"

// storeDir returns the cached directory with root's and the user's container
// stores. They hold the images of the spec, as podman of this tree stores them. A
// missing directory is made first.
func storeDir(ctx context.Context, spec Spec, tree string, log io.Writer) (string, error) {
	parts := []string{storeVersion}
	for _, image := range spec.images() {
		key, err := image.key()
		if err != nil {
			return "", err
		}
		parts = append(parts, key)
	}
	return Cached(ctx, "store-"+spec.key()+"-"+shortHash(parts...), func(dir string) error {
		fmt.Fprintf(log, "machine: making the container store %s\n", dir)
		return buildStore(ctx, spec, tree, dir, log)
	})
}

// buildStore boots a machine with empty stores, has podman import the images for
// both users, and copies the stores after a clean power-off.
func buildStore(ctx context.Context, spec Spec, tree, dir string, log io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 25*time.Minute) // packages may come from the network
	defer cancel()
	h, err := newHost(ctx, tree, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if err := h.boot(ctx); err != nil {
		return err
	}
	if err := h.awaitReady(ctx); err != nil {
		return err
	}
	user := &Shell{m: &Machine{host: h}, uid: User}
	if err := user.awaitUserManager(ctx); err != nil {
		return err
	}
	for _, image := range spec.images() {
		if err := importImage(ctx, h, spec, image, log); err != nil {
			return fmt.Errorf("import the image %s: %w", image.Name, err)
		}
	}
	if err := powerOff(ctx, h, "poweroff"); err != nil {
		return err
	}
	return copyStores(ctx, h.dir, dir)
}

// imageTar is the file that podman imports. The user can read the root directory, unlike
// /root, and /tmp is in memory.
const imageTar = "/image.tar"

// importImage imports an image for root and for the user.
func importImage(ctx context.Context, h *host, spec Spec, image ImageSpec, log io.Writer) error {
	file, err := h.open(imageTar, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := image.write(ctx, spec.suite(), file, log); err != nil {
		return err
	}
	for _, uid := range []int{0, User} {
		s := &Shell{m: &Machine{host: h}, uid: uid}
		args := []string{"podman", "import", "--quiet"}
		if change := image.Change(); change != "" {
			args = append(args, "--change", change)
		}
		if _, err := s.RunContext(ctx, append(args, imageTar, image.Name)...); err != nil {
			return err
		}
	}
	return h.remove(imageTar)
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
