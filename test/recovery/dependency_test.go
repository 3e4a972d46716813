package recovery

import (
	"fmt"
	"testing"

	"archy-recovery/internal/recover"
)

// A container whose unit is ordered after another one waits for its second attempt, and is
// started when that one is up. A unit that has reached its
// start limit is started all the same.
func TestRetryAfterFailedDependency(t *testing.T) {
	// The first start of app must come within the pause, also on a busy host.
	onBothInstances(t, "RetryPauseSec=8\n", func(n *node) {
		n.MustRun("install", "-d", "-o", fmt.Sprint(n.uid), "/var/tmp/sql", "/var/tmp/once")
		n.quadlet("sql", 0, "Notify=true\nVolume=/var/tmp/sql:/state\nExec=-fail-times 2 -state /state", "")
		n.Quadlet(n.uid, "app.container", fmt.Sprintf(
			"[Unit]\nRequires=sql.service\nAfter=sql.service\n"+
				"[Container]\nImage=localhost/testapp:1\nContainerName=app\nLabel=%s=2\n", recover.TierLabel))
		n.Quadlet(n.uid, "once.container", fmt.Sprintf(
			"[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=1\n"+
				"[Container]\nImage=localhost/testapp:1\nContainerName=once\nLabel=%s=0\n"+
				"Notify=true\nVolume=/var/tmp/once:/state\nExec=-fail-times 2 -state /state\n", recover.TierLabel))
		// Each has one failed start before the crash.
		for _, unit := range []string{"sql", "once"} {
			_, _ = n.user.Run("systemctl", n.scope(), "start", unit)
		}
		n.enable()
		n.PullPlug()
		n.WriteFile(n.dataFile("running-containers.json"),
			`{"containers":[{"name":"sql"},{"name":"app"},{"name":"once"}]}`, 0o644, n.uid)
		n.Boot()
		st := n.waitRecovered()
		n.wantStates(st, map[string]recover.RowState{"sql": recover.RowUp, "app": recover.RowUp, "once": recover.RowUp})
		n.wantRunning("app", "sql", "once")
		for _, row := range st.Containers {
			n.t.Logf("%s: %+v", row.Name, row.Attempts)
		}
		n.wantLog("waits for sql, until it is ready")
		if rows := rowsOf(st); len(rows["app"].Attempts) != 1 {
			n.t.Errorf("app had %d attempts", len(rows["app"].Attempts))
		}
	})
}

// scope returns the option of systemctl for the manager of the containers.
func (n *node) scope() string {
	if n.uid == 0 {
		return "--system"
	}
	return "--user"
}
