package machine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// Machine is one test machine, on or off. Commands run on it as root; see
// [Machine.As] for commands of the user.
//
// Methods without an error result end the test when they fail, so only the
// test's own goroutine may call them. Methods with an error result may be called
// from any goroutine.
type Machine struct {
	*Shell
	host  *host
	t     TB
	limit time.Duration
}

// Option changes what [Start] does.
type Option func(*options)

type options struct {
	spec  Spec
	off   bool
	host  bool
	limit time.Duration
}

// WithSpec makes a machine of this spec instead of the default one.
func WithSpec(spec Spec) Option { return func(o *options) { o.spec = spec } }

// Off leaves the machine off. The test prepares its disk and then calls
// [Machine.Boot].
func Off() Option { return func(o *options) { o.off = true } }

// HostNetwork has the containers share the machine's network. By default each has its
// own: a bridge of netavark for root, and pasta for the user. It is for tests whose
// containers reach each other by abstract sockets, and for measurements without the
// time that a network takes.
func HostNetwork() Option { return func(o *options) { o.host = true } }

// Timeout sets how long a boot, a power-off or a command may take. The default
// is 2 minutes.
func Timeout(d time.Duration) Option { return func(o *options) { o.limit = d } }

// Start makes a fresh machine and boots it. When the test ends in any way, the
// machine is removed completely. If the test failed, the machine's console and
// the end of its journal are logged first.
//
// The first Start on a host makes the tree (see [Tree]) and the store, which
// takes about half a minute. If the host cannot run machines, Start fails the
// test with the reason. With -short it skips the test.
func Start(t TB, opts ...Option) *Machine {
	t.Helper()
	if testing.Testing() && testing.Short() {
		t.Skipf("-short skips machine tests")
	}
	o := options{limit: 2 * time.Minute}
	for _, opt := range opts {
		opt(&o)
	}
	h, err := hostOf(o.spec)
	if err != nil {
		t.Fatalf("machine: %v", err)
	}
	m := &Machine{host: h, limit: o.limit}
	m = m.With(t)
	t.Cleanup(m.end)
	if o.host {
		m.hostNetwork()
	}
	if !o.off {
		m.Boot()
	}
	return m
}

// hostOf returns a new host for a machine of the spec.
func hostOf(spec Spec) (*host, error) {
	// The network limits how fast a tree is made, and the tests beside it, so the test's timeout does not apply.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	tree, err := Tree(ctx, spec, os.Stderr)
	if err != nil {
		return nil, err
	}
	store, err := storeDir(ctx, spec, tree, os.Stderr)
	if err != nil {
		return nil, err
	}
	return newHost(ctx, tree, store)
}

// With returns the same machine for use in a subtest: failures then belong to t.
// The machine still ends with the test that started it.
func (m *Machine) With(t TB) *Machine {
	view := &Machine{host: m.host, t: t, limit: m.limit}
	view.Shell = &Shell{m: view}
	return view
}

// timeout returns a context with the machine's timeout, for one operation.
func (m *Machine) timeout(what string) (context.Context, context.CancelFunc) {
	limit := m.limit
	if limit == 0 {
		limit = 2 * time.Minute
	}
	return context.WithTimeoutCause(context.Background(), limit, fmt.Errorf("%s took longer than %v", what, limit))
}

// end removes the machine.
func (m *Machine) end() {
	if m.t.Failed() {
		m.logState()
	}
	if err := m.host.close(); err != nil {
		m.t.Errorf("machine: %v", err)
	}
}

// logState logs what helps to understand why a test failed.
func (m *Machine) logState() {
	// A machine that hangs must not block its clean-up.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var journal bytes.Buffer
	err := m.stream(ctx, &journal, append(m.journalctl(), "--output=short-precise", "--lines=150")...)
	m.t.Logf("machine console:\n%s\nmachine journal (%v):\n%s", m.Console(), err, journal.String())
}

// Console returns the output of the machine's PID 1 and of nspawn, of all boots.
func (m *Machine) Console() string { return m.host.console() }

// IsOn reports whether the machine runs.
func (m *Machine) IsOn() bool {
	_, err := m.host.leaderPID()
	return err == nil
}

// WaitFor calls done every 50 ms until it returns true. After the timeout it ends
// the test. Use it only for conditions without an event. An event is faster, and
// its error is clearer: systemctl start waits for the job, and journalctl
// --follow works with [Shell.Stream].
func (m *Machine) WaitFor(timeout time.Duration, desc string, done func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(timeout); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			m.t.Fatalf("machine: gave up after %v: no sign of %s", timeout, desc)
		}
	}
}
