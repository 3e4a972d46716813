package machine

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// Spec describes the content of a machine's disk. The zero Spec is Debian 13.
type Spec struct {
	Suite    string   // Debian release by name: "trixie" if empty, or "bookworm".
	Packages []string // Debian packages in addition to those of every machine.
	// Images are in the stores of root and of the user, in addition to the test
	// application's. They are no part of the tree.
	Images []ImageSpec
}

// images are all images of the spec's stores.
func (s Spec) images() []ImageSpec { return append([]ImageSpec{Testapp}, s.Images...) }

// basePackages turn a bare Debian into a machine for rootful and rootless podman.
var basePackages = []string{
	"systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd",
	"podman", "crun", "catatonit", "netavark", "aardvark-dns", "nftables",
	"uidmap", "passt", "polkitd", "procps", "iproute2", "jq", "curl",
}

//go:embed setup.sh
var setupScript string

func (s Spec) suite() string {
	if s.Suite == "" {
		return "trixie"
	}
	return s.Suite
}

func (s Spec) packages() []string {
	all := slices.Concat(basePackages, s.Packages)
	if s.suite() == "bookworm" {
		// crun 1.8 of Debian 12 fails if it may not raise RLIMIT_MEMLOCK.
		// Rootless containers have their network from slirp4netns, not from passt, and
		// netavark 1.4 runs iptables.
		all = append(all, "iptables", "runc", "slirp4netns")
		all = slices.DeleteFunc(all, func(p string) bool { return p == "crun" })
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// key returns the name of the tree. It holds a hash of all that decides its
// content.
func (s Spec) key() string {
	return s.suite() + "-" + shortHash(s.suite(), strings.Join(s.packages(), " "), setupScript)
}

// shortHash returns a name that changes whenever one of the parts does.
func shortHash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// Tree returns the cached directory tree of the spec: a Debian that was set up
// and never booted. A missing tree is made first, from the network, in about 30 s.
// The tree is shared, so callers must not write to it. The output of mmdebstrap
// goes to log.
//
// Tree fails if it does not run as root, if a host program is missing, or if the
// tree cannot be made. The cache then holds nothing of the tree.
func Tree(ctx context.Context, spec Spec, log io.Writer) (string, error) {
	if err := checkHost(); err != nil {
		return "", err
	}
	return Cached(ctx, "tree-"+spec.key(), func(dir string) error {
		fmt.Fprintf(log, "machine: making the %s tree %s\n", spec.suite(), dir)
		return buildTree(ctx, spec, dir, log)
	})
}

// checkHost checks that this host can run machines. Its error says what to do.
func checkHost() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("the machine tests need root; run them as root, or skip them with -short")
	}
	for _, program := range []string{"mmdebstrap", "systemd-nspawn", "nsenter", "unshare"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w; \"make deps\" installs the programs for machine tests", err)
		}
	}
	return nil
}

func buildTree(ctx context.Context, spec Spec, dir string, log io.Writer) error {
	setup, err := os.CreateTemp("", "machine-setup-*.sh")
	if err != nil {
		return err
	}
	defer os.Remove(setup.Name())
	defer setup.Close()
	if _, err := setup.WriteString(setupScript); err != nil {
		return err
	}

	err = RunIsolated(ctx, log, []string{"MACHINE_SETUP=" + setup.Name()},
		"mmdebstrap", "--variant=minbase",
		"--include="+strings.Join(spec.packages(), ","),
		"--aptopt=Acquire::Retries \"3\"",
		`--customize-hook=chroot "$1" /bin/sh -s <"$MACHINE_SETUP"`,
		spec.suite(), dir)
	if err != nil {
		return fmt.Errorf("make the %s tree: %w", spec.suite(), err)
	}
	return nil
}

// RunIsolated runs one of the host's programs in its own mount and PID
// namespaces. Its mounts and its children end with the program, and the program
// ends with this process. env is added to the environment; both outputs go to w.
func RunIsolated(ctx context.Context, w io.Writer, env []string, args ...string) error {
	// The parent-death signal comes when the forking thread ends, so this
	// goroutine keeps its thread until the command has ended.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"--mount", "--pid", "--fork", "--kill-child",
		"--mount-proc", "--propagation", "private"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}
