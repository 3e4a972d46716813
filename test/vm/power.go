package vm

import "errors"

// Boot switches the machine on and waits until its systemd has finished its
// start-up. Failed units do not matter. params are added to the kernel's command
// line.
func (m *VM) Boot(params ...string) {
	m.t.Helper()
	m.BootNoWait(params...)
	m.WaitBooted()
}

// BootNoWait switches the machine on and returns as soon as the agent can run
// commands, early in the boot.
func (m *VM) BootNoWait(params ...string) {
	m.t.Helper()
	if m.q.Load() != nil {
		m.t.Fatalf("vm: boot: the machine is on")
	}
	ctx, cancel := m.timeout("the boot")
	defer cancel()
	q, err := startQemu(ctx, m.dir, m.opts, m.forward(), params)
	m.must("boot", err)
	m.q.Store(q)
	m.must("boot", q.awaitBoot(ctx, ""))
}

// WaitBooted waits until systemd has finished its start-up.
func (m *VM) WaitBooted() {
	m.t.Helper()
	_, err := m.Run("systemctl", "is-system-running", "--wait")
	// An exit status says that a unit failed. The test decides about that.
	if exit := (*ExitError)(nil); err != nil && !errors.As(err, &exit) {
		m.must("boot", err)
	}
}

// PullPlug kills the machine. Data that its kernel has not written to the disk is
// lost.
func (m *VM) PullPlug() {
	m.t.Helper()
	m.on().kill()
	m.q.Store(nil)
}

// Reset resets the machine's hardware and waits for the begin of the next boot.
func (m *VM) Reset() {
	m.t.Helper()
	boot := m.BootID()
	m.must("reset", m.on().tell(`{"execute":"system_reset"}`))
	m.WaitReboot(boot)
}

// WaitReboot waits until a boot with another ID than this one has begun. QEMU runs
// on meanwhile, so the firmware keeps its records.
func (m *VM) WaitReboot(boot string) {
	m.t.Helper()
	q := m.on()
	ctx, cancel := m.timeout("the reboot")
	defer cancel()
	m.must("reboot", q.awaitBoot(ctx, boot))
}

// PowerOff shuts the machine down in order and waits until it is off.
func (m *VM) PowerOff() {
	m.t.Helper()
	q := m.on()
	ctx, cancel := m.timeout("the power-off")
	defer cancel()
	_, err := m.RunContext(ctx, "systemctl", "poweroff")
	// The shutdown that the command requests may kill the command.
	if offErr := q.awaitOff(ctx); offErr != nil {
		m.must("power off", errors.Join(err, offErr))
	}
	q.kill()
	m.q.Store(nil)
}

// BootID returns the ID of the boot that runs, in the journal's form.
func (m *VM) BootID() string {
	m.t.Helper()
	return m.on().bootID()
}

// IsOn reports whether the machine was switched on and has not switched itself
// off.
func (m *VM) IsOn() bool {
	q := m.q.Load()
	if q == nil {
		return false
	}
	q.Lock()
	defer q.Unlock()
	return !q.gone
}

// on returns the running machine. It ends the test if the machine is off.
func (m *VM) on() *qemu {
	m.t.Helper()
	q := m.q.Load()
	if q == nil {
		m.t.Fatalf("vm: the machine is off")
	}
	return q
}
