package recovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// A container on the user-stopped list is not started because another unit, or podman, would
// start it along: what needs it is left alone, and what only wants it starts without it.
// When the user allows it again, all of them start.
func TestNeedsStopped(t *testing.T) {
	onBothInstances(t, "SoakSec=1\nProbationSec=1\n", func(n *node) {
		unit := func(name, needs string) {
			n.Quadlet(n.uid, name+".container", fmt.Sprintf(
				"[Unit]\n%s\n[Container]\nImage=%s\nContainerName=%s\n", needs, machine.Image, name))
		}
		unit("sql", "")
		unit("side", "")
		unit("needer", "Requires=sql.service\nAfter=sql.service")
		unit("chained", "Requires=needer.service\nAfter=needer.service")
		unit("wanter", "Wants=sql.service\nAfter=sql.service\nRequires=side.service\nAfter=side.service")
		n.user.Systemctl("start", "wanter", "chained")
		plain := func(name string, flags ...string) {
			n.user.MustRun(slices.Concat([]string{"podman", "create", "--name", name}, flags, []string{machine.Image})...)
			n.user.MustRun("podman", "start", name)
		}
		plain("psql", "--network", "none") // a network of its own, which pnet joins
		plain("preq", "--requires", "psql")
		plain("pnet", "--network", "container:psql")
		plain("compose", "--label", "com.docker.compose.depends_on=psql:service_started:false")
		n.enable()
		n.cli("user-stopped", "add", "sql", "psql")
		n.user.MustRun("podman", "stop", "--time=1", "sql", "psql")
		ran := []string{"chained", "compose", "needer", "pnet", "preq", "side", "wanter"}
		n.waitSaved(ran...)
		n.waitSoaked()

		plan := n.cli("plan")
		for _, want := range []string{"needs sql, which you stopped", "needs psql, which you stopped", "without sql"} {
			if !strings.Contains(plan, want) {
				n.t.Errorf("the plan lacks %q:\n%s", want, plan)
			}
		}

		n.crash()
		n.cli("wait", "--timeout=90s") // exit code 0: nothing that should run is down
		st := n.waitRecovered()
		const needsStopped = recover.RowState("needs-stopped")
		n.wantStates(st, map[string]recover.RowState{
			"chained": needsStopped, "needer": needsStopped, "pnet": needsStopped, "preq": needsStopped,
			"compose": recover.RowUp, "side": recover.RowUp, "wanter": recover.RowUp,
		})
		n.wantRunning("compose", "side", "wanter")
		for _, row := range st.Containers {
			n.t.Logf("%s: %s %q", row.Name, row.State, row.Error)
		}
		n.waitSaved(ran...)
		n.waitSoaked()

		n.cli("user-stopped", "remove", "sql", "psql")
		n.crash()
		st = n.waitRecovered()
		for _, row := range st.Containers {
			if row.State != recover.RowUp && row.State != recover.RowActive {
				n.t.Errorf("%s is %s: %s", row.Name, row.State, row.Error)
			}
		}
		n.wantRunning(slices.Concat(ran, []string{"sql", "psql"})...)
	})
}
