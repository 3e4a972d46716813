package power

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/software"
	"archy-recovery/test/vm"
)

// Databases, a web server and an application as people run them. The power fails while
// they write, and what was not synced is lost. Each row that was acknowledged is there
// after the recovery, and the application answers.
func TestRealSoftware(t *testing.T) {
	stack := software.Stack{Port: 8080}
	n := start(t, vm.Options{FS: vm.Ext4, Limit: 15 * time.Minute, Images: software.Images, Publish: stack.Port}, "")
	n.MustRun("systemctl", "enable", "--now", service)
	for path, text := range stack.Files() {
		n.WriteFile(path, text, 0o644)
	}
	began := time.Now()
	n.MustRun("sh", "-ec", stack.Create())
	for _, name := range stack.Names() {
		n.waitSaved(name)
	}
	t.Logf("all run after %v", time.Since(began).Round(time.Second))

	ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Minute, fmt.Errorf("it takes longer than 30 minutes"))
	defer cancel()
	client := software.NewClient(n.Dial, "machine", 5*time.Minute)
	writer := software.Write(client)
	defer writer.Stop()
	if err := writer.Await(ctx, 100); err != nil {
		t.Fatalf("%v\n%s", err, n.log())
	}
	n.PullPlug()
	t.Logf("%d rows were acknowledged", writer.Stop())

	n.Boot()
	st := n.waitRecovered()
	n.WaitFor(5*time.Minute, "an answer through nginx", func() bool { return client.Answer(ctx) == nil })
	t.Logf("READY after %v, an answer was seen %v later", st.Finished.Sub(st.Started), time.Since(st.Finished))
	if cause := n.waitVerdict().Cause; cause != recover.CausePowerLoss {
		t.Errorf("the cause is %s", cause)
	}
	for _, row := range st.Containers {
		if row.State != recover.RowUp || len(row.Attempts) != 1 {
			t.Errorf("%s is %s after %d attempts: %s", row.Name, row.State, len(row.Attempts), row.Error)
		}
	}
	if names := n.running(); len(names) != len(stack.Names()) {
		t.Errorf("%v run", names)
	}
	if err := writer.Lost(ctx); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Logf("%s", strings.TrimSpace(n.log()))
	}
}
