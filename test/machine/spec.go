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

// Spec says what the machine's disk is made of. The zero Spec is Debian 13.
type Spec struct {
	Suite    string   // Debian release by name: "trixie" if empty, or "bookworm".
	Packages []string // Installed beyond what every machine has.
}

// basePackages make a bare Debian a rootful and rootless podman machine.
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
		// Its crun 1.8 fails where it may not raise RLIMIT_MEMLOCK.
		all = append(all, "runc")
		all = slices.DeleteFunc(all, func(p string) bool { return p == "crun" })
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// key names the tree after everything that decides what is in it.
func (s Spec) key() string {
	return s.suite() + "-" + shortHash(s.suite(), strings.Join(s.packages(), " "), setupScript)
}

// shortHash returns a name for the parts that changes when any of them does.
func shortHash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// Tree returns the cached directory tree of the spec, a Debian that was set up
// and never booted, and makes it first if need be (about 30 s, from the
// network). The tree is shared: nobody may write to it. What mmdebstrap says
// goes to log.
//
// It fails when not run as root, when a host program is missing, and when the
// tree cannot be made; the cache then holds nothing of it.
func Tree(ctx context.Context, spec Spec, log io.Writer) (string, error) {
	if err := checkHost(); err != nil {
		return "", err
	}
	return Cached(ctx, "tree-"+spec.key(), func(dir string) error {
		fmt.Fprintf(log, "machine: making the %s tree %s\n", spec.suite(), dir)
		return buildTree(ctx, spec, dir, log)
	})
}

// checkHost returns an error that says how to mend it if this host cannot run
// machines.
func checkHost() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("the machine tests need root; use -short to leave them out")
	}
	for _, program := range []string{"mmdebstrap", "systemd-nspawn", "nsenter", "unshare"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w; \"make deps\" installs what the machine tests need", err)
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

	// In namespaces of its own, mmdebstrap's mounts and children end with it,
	// whatever ends it. The parent-death signal belongs to the thread that
	// forks, so this goroutine keeps its thread until the command is done.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--kill-child",
		"--mount-proc", "--propagation", "private",
		"mmdebstrap", "--variant=minbase",
		"--include="+strings.Join(spec.packages(), ","),
		"--aptopt=Acquire::Retries \"3\"",
		`--customize-hook=chroot "$1" /bin/sh -s <"$MACHINE_SETUP"`,
		spec.suite(), dir)
	cmd.Env = append(os.Environ(), "MACHINE_SETUP="+setup.Name())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("make the %s tree: %w", spec.suite(), err)
	}
	return nil
}
