package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Boot switches the machine on and waits until its systemd and the user's
// manager have finished their start-up, whatever units failed in it.
func (m *Machine) Boot() {
	m.t.Helper()
	ctx, cancel := m.timeout("the boot")
	defer cancel()
	err := m.host.boot(ctx)
	if err == nil {
		err = m.awaitBooted(ctx)
	}
	if err != nil {
		m.t.Fatalf("machine: boot: %v", err)
	}
}

// BootNoWait switches the machine on and returns as soon as its PID 1 answers
// systemctl, for tests that act while it boots. [Machine.WaitBooted] waits for
// the rest.
func (m *Machine) BootNoWait() {
	m.t.Helper()
	ctx, cancel := m.timeout("the boot")
	defer cancel()
	err := m.host.boot(ctx)
	if err == nil {
		err = m.host.awaitManager(ctx)
	}
	if err != nil {
		m.t.Fatalf("machine: boot: %v", err)
	}
}

// WaitBooted waits until a machine that was booted with BootNoWait is where
// Boot would have returned.
func (m *Machine) WaitBooted() {
	m.t.Helper()
	ctx, cancel := m.timeout("the boot")
	defer cancel()
	if err := m.awaitBooted(ctx); err != nil {
		m.t.Fatalf("machine: boot: %v", err)
	}
}

// awaitBooted waits for both managers.
func (m *Machine) awaitBooted(ctx context.Context) error {
	if err := m.host.awaitReady(ctx); err != nil {
		return err
	}
	return m.As(User).awaitUserManager(ctx)
}

// awaitManager waits until PID 1 answers systemctl. Nothing tells of that
// moment, which comes a few milliseconds after PID 1 began, so this asks often:
// for the socket first, because asking PID 1 itself costs more.
func (h *host) awaitManager(ctx context.Context) error {
	root := &Shell{m: &Machine{host: h}}
	for {
		if _, err := h.leaderPID(); err != nil {
			return err
		}
		_, err := os.Lstat(h.diskPath() + "/run/systemd/private")
		if err == nil {
			_, err = root.RunContext(ctx, "systemctl", "show", "--property=Version")
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for systemd: %w (%v)", context.Cause(ctx), err)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// PullPlug cuts the machine off: every process of it is killed at once, and the
// call returns when all are gone. What was written to the disk stays, synced or
// not; see the package documentation.
func (m *Machine) PullPlug() {
	m.t.Helper()
	ctx, cancel := m.timeout("pulling the plug")
	defer cancel()
	if err := m.host.pullPlug(ctx); err != nil {
		m.t.Fatalf("machine: pull the plug: %v", err)
	}
}

// PowerOff shuts the machine down cleanly and waits until it is off.
func (m *Machine) PowerOff() {
	m.t.Helper()
	m.shutDown("poweroff")
}

// Reboot shuts the machine down cleanly, for a reboot as its units see it, and
// boots it again.
func (m *Machine) Reboot() {
	m.t.Helper()
	m.shutDown("reboot")
	m.Boot()
}

// SoftReboot restarts the machine's userspace and waits for it like Boot. The
// boot ID stays. It needs systemd 254, so not Debian 12.
func (m *Machine) SoftReboot() {
	m.t.Helper()
	ctx, cancel := m.timeout("the soft reboot")
	defer cancel()
	m.host.expectReady()
	_, err := m.RunContext(ctx, "systemctl", "soft-reboot")
	// The command may be killed by the very reboot that it asked for.
	if waitErr := m.awaitBooted(ctx); waitErr != nil {
		m.t.Fatalf("machine: soft reboot: %v", errors.Join(err, waitErr))
	}
}

func (m *Machine) shutDown(verb string) {
	m.t.Helper()
	ctx, cancel := m.timeout("the " + verb)
	defer cancel()
	if err := powerOff(ctx, m.host, verb); err != nil {
		m.t.Fatalf("machine: %s: %v", verb, err)
	}
}

// powerOff shuts the machine down with this verb of systemctl and waits until
// it is off; nspawn, without a machined, does not start it again by itself.
func powerOff(ctx context.Context, h *host, verb string) error {
	root := &Shell{m: &Machine{host: h}}
	_, err := root.RunContext(ctx, "systemctl", verb)
	// The command may be killed by the very shutdown that it asked for.
	if waitErr := h.awaitOff(ctx); waitErr != nil {
		return errors.Join(err, waitErr)
	}
	return nil
}

// WaitOff waits until the machine is off, for tests that make it shut down in
// their own way.
func (m *Machine) WaitOff() {
	m.t.Helper()
	ctx, cancel := m.timeout("going off")
	defer cancel()
	if err := m.host.awaitOff(ctx); err != nil {
		m.t.Fatalf("machine: %v", err)
	}
}

// BootID returns the ID of the boot that runs, in the journal's form: 32
// hexadecimal digits.
func (m *Machine) BootID() string {
	m.t.Helper()
	if !m.IsOn() {
		m.t.Fatalf("machine: boot ID: the machine is off")
	}
	id, err := m.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		m.t.Fatalf("machine: boot ID: %v", err)
	}
	return strings.ReplaceAll(strings.TrimSpace(id), "-", "")
}
