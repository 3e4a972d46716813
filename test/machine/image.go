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
	"strings"
)

// Image is the name of the test application's image, in the stores of root and
// of the user. Its entry point is the program of test/testapp. The container's
// command holds the flags of that program.
const Image = "localhost/testapp:1"

// An ImageSpec describes an image in the stores of root and of the user. It holds one
// program of this module, or software of Debian's packages.
type ImageSpec struct {
	Name string // of the image, such as localhost/testapp:1

	// Program is the directory of a Go command, relative to the module. It is the only
	// file of the image, and its entry point.
	Program string

	// Packages are installed in a minimal Debian of the machine's release.
	Packages []string
	// Setup is a shell script that runs once as root, in a chroot in the image's tree.
	Setup string
}

// Testapp is the image that all machines have.
var Testapp = ImageSpec{Name: Image, Program: "test/testapp"}

// left are files of packages that no container of a test reads.
var left = []string{"/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*"}

// Change is the line of a Containerfile that is the image's configuration, or "".
func (i ImageSpec) Change() string {
	if i.Program == "" {
		return ""
	}
	return fmt.Sprintf("ENTRYPOINT [\"/%s\"]", filepath.Base(i.Program))
}

// key returns a hash of all that decides the image's content.
func (i ImageSpec) key() (string, error) {
	parts := []string{i.Name, i.Setup, strings.Join(i.Packages, " ")}
	if i.Program == "" {
		return shortHash(append(parts, left...)...), nil
	}
	root, err := moduleDir()
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(root, i.Program, "*.go"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("the source of %s is not below %s: %v", i.Program, root, err)
	}
	parts = append(parts, runtime.Version(), runtime.GOARCH)
	source := ""
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		source += string(text)
	}
	modules, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(modules)) {
		// The versions of the modules that it imports decide its content, too.
		if words := strings.Fields(line); len(words) > 1 && strings.Contains(source, `"`+words[0]) {
			parts = append(parts, words[0], words[1])
		}
	}
	return shortHash(append(parts, source)...), nil
}

// write writes the tar file for podman import.
func (i ImageSpec) write(ctx context.Context, suite string, to io.Writer, log io.Writer) error {
	if i.Program != "" {
		return i.writeProgram(ctx, to)
	}
	key, err := i.key()
	if err != nil {
		return err
	}
	// Stores are made anew when a program changes. The packages come from the network only once.
	dir, err := Cached(ctx, "image-"+suite+"-"+key, func(dir string) error {
		fmt.Fprintf(log, "machine: making the image %s in %s\n", i.Name, dir)
		return i.install(ctx, suite, filepath.Join(dir, "image.tar"), log)
	})
	if err != nil {
		return err
	}
	from, err := os.Open(filepath.Join(dir, "image.tar"))
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.Copy(to, from)
	return err
}

// install makes the image of Debian's packages.
func (i ImageSpec) install(ctx context.Context, suite, file string, log io.Writer) error {
	setup, err := os.CreateTemp("", "machine-image-*.sh")
	if err != nil {
		return err
	}
	defer os.Remove(setup.Name())
	defer setup.Close()
	if _, err := setup.WriteString("set -eu\n" + i.Setup); err != nil {
		return err
	}
	args := []string{"mmdebstrap", "--variant=minbase", "--include=" + strings.Join(i.Packages, ","),
		"--aptopt=Acquire::Retries \"3\"", "--aptopt=APT::Install-Recommends \"false\"",
		// A container has devices of its own.
		"--skip=output/dev", `--customize-hook=chroot "$1" /bin/sh -s <"$IMAGE_SETUP"`}
	for _, files := range left {
		args = append(args, "--dpkgopt=path-exclude="+files)
	}
	args = append(args, suite, file)
	if err := RunIsolated(ctx, log, []string{"IMAGE_SETUP=" + setup.Name()}, args...); err != nil {
		return fmt.Errorf("make the image %s: %w", i.Name, err)
	}
	return nil
}

// writeProgram compiles the program as a static one, and writes an image that holds
// nothing else. It needs the go command and the module's source.
func (i ImageSpec) writeProgram(ctx context.Context, to io.Writer) error {
	root, err := moduleDir()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "machine-image-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	name := filepath.Base(i.Program)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w",
		"-o", filepath.Join(dir, name), "./"+i.Program)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", i.Program, err, out)
	}
	return writeImage(to, name, filepath.Join(dir, name))
}

// writeImage writes the tar file of an image that holds only this program.
func writeImage(w io.Writer, name, program string) error {
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
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: info.Size()}
	if err := out.WriteHeader(header); err != nil {
		return err
	}
	if _, err := io.Copy(out, f); err != nil {
		return err
	}
	return out.Close()
}
