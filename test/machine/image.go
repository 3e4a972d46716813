package machine

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Image is the name of the test application's image, in the stores of root and
// of the user. Its entry point is the program of test/testapp. The container's
// command holds the flags of that program.
const Image = "localhost/testapp:1"

// buildApp compiles the test application as a static program into the file. It
// needs the go command and the module's source.
func buildApp(ctx context.Context, file string) error {
	root, err := moduleDir()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w",
		"-o", file, "./test/testapp")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the test application: %w\n%s", err, out)
	}
	return nil
}

// appKey returns a hash of the test application's source and of its compiler.
func appKey() (string, error) {
	root, err := moduleDir()
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(root, "test", "testapp", "*.go"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("the source of the test application is not below %s: %v", root, err)
	}
	parts := []string{runtime.Version(), runtime.GOARCH, storeVersion}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		parts = append(parts, string(text))
	}
	return shortHash(parts...), nil
}

// writeImage writes the tar file for podman import. It holds only the program.
func writeImage(w io.Writer, program string) error {
	f, err := os.Open(program)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	out := tar.NewWriter(w)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: "testapp", Mode: 0o755, Size: info.Size()}
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	if _, err := io.Copy(out, f); err != nil {
		return err
	}
	return out.Close()
}
