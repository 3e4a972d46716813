package units

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// The tests mostly wait, each for a bus of its own. The flag -parallel still overrides this.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// A bus is a real dbus-daemon of one test. It can be killed, and started again at the same address.
type bus struct {
	t    testing.TB
	dir  string
	cmd  *exec.Cmd
	open bool
}

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow own="*"/>
  </policy>
  %s
</busconfig>
`

// newBus starts a bus, which ends with the test. Limits are elements of its configuration.
func newBus(t testing.TB, limits ...string) *bus {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		t.Skip("there is no dbus-daemon: ", err)
	}
	// The path of a socket must be shorter than 108 bytes, which that of t.TempDir() may not be.
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := &bus{t: t, dir: dir}
	conf := fmt.Appendf(nil, busConfig, b.path("bus"), strings.Join(limits, "\n"))
	if err := os.WriteFile(b.path("conf"), conf, 0o600); err != nil {
		t.Fatal(err)
	}
	b.run()
	t.Cleanup(b.kill)
	return b
}

func (b *bus) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bus) address() string { return "unix:path=" + b.path("bus") }

// run starts the daemon. When it returns, the bus accepts connections.
func (b *bus) run() {
	b.t.Helper()
	os.Remove(b.path("bus")) // the socket of a killed daemon
	cmd := exec.Command("dbus-daemon", "--config-file="+b.path("conf"), "--nofork", "--print-address=1")
	cmd.Stderr = b.t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.cmd, b.open = cmd, true
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.t.Fatal("dbus-daemon does not print its address: ", err)
	}
}

// kill ends the daemon as a crash does, and waits for its end.
func (b *bus) kill() {
	if !b.open {
		return
	}
	b.open = false
	b.cmd.Process.Kill()
	b.cmd.Wait()
}
