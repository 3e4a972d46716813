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
// manager have finished their start-up. Failed units do not matter.
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
// systemctl. It is for tests that act during the boot. [Machine.WaitBooted] waits
// for the rest.
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

// WaitBooted waits for the end of a boot that BootNoWait began.
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

// awaitManager waits until PID 1 answers systemctl, a few milliseconds after PID
// 1 began. There is no event for it, so this polls. It looks for the socket
// first, because a request to PID 1 costs more.
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

// PullPlug kills every process of the machine at once, and returns when all are
// gone. All data that was written stays, synced or not; see the package
// documentation.
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

// Reboot shuts the machine down cleanly and boots it again. Its units see a
// reboot.
func (m *Machine) Reboot() {
	m.t.Helper()
	m.shutDown("reboot")
	m.Boot()
}

// SoftReboot restarts the machine's user space and waits for it like Boot. The
// boot ID stays the same. It needs systemd 254, so Debian 12 does not have it.
func (m *Machine) SoftReboot() {
	m.t.Helper()
	ctx, cancel := m.timeout("the soft reboot")
	defer cancel()
	m.host.expectReady()
	_, err := m.RunContext(ctx, "systemctl", "soft-reboot")
	// The reboot that the command requests may kill the command.
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

// powerOff shuts the machine down with this verb of systemctl and waits until it
// is off. nspawn starts no machine again if the host has no machined.
func powerOff(ctx context.Context, h *host, verb string) error {
	root := &Shell{m: &Machine{host: h}}
	_, err := root.RunContext(ctx, "systemctl", verb)
	// The shutdown that the command requests may kill the command.
	if waitErr := h.awaitOff(ctx); waitErr != nil {
		return errors.Join(err, waitErr)
	}
	return nil
}

// WaitOff waits until the machine is off, for tests that shut it down by
// themselves.
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
