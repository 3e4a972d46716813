package recovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// A container on the user-stopped list is not started because another unit, or podman, would
// start it along: what needs it is left alone, and what only wants it starts without it.
// When the user allows it again, all of them start at once, in spite of a restart of the service.
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

		// With the service upgraded meanwhile, which goes on with what it left.
		n.MustRun("systemctl", "restart", n.unit())
		st = n.waitRecovered()
		n.wantStates(st, map[string]recover.RowState{
			"chained": needsStopped, "needer": needsStopped, "pnet": needsStopped, "preq": needsStopped,
		})
		up := func(names ...string) map[string]recover.RowState {
			all := map[string]recover.RowState{}
			for _, name := range names {
				all[name] = recover.RowUp
			}
			return all
		}
		n.cli("hold", "1h")
		n.cli("user-stopped", "remove", "sql")
		if text := n.cli("retry", "needer"); !strings.Contains(text, "needer") {
			n.t.Errorf("retry says %q", text)
		}
		n.waitStates(time.Minute, up("needer"))
		n.waitStates(0, map[string]recover.RowState{"chained": needsStopped, "pnet": needsStopped})
		n.cli("hold", "--end")
		n.waitStates(time.Minute, up("chained"))
		// Another program allows it; nothing tells of that but the timer's next look.
		n.MustRun("sh", "-c", "echo '[]' >"+n.dataFile("user-stopped.json"))
		n.cli("snapshot")
		n.waitStates(time.Minute, up("chained", "needer", "pnet", "preq"))
		all := slices.Concat(ran, []string{"sql", "psql"})
		n.wantRunning(all...)
		n.waitSaved(all...)
		n.waitSoaked()

		n.crash()
		st = n.waitRecovered()
		for _, row := range st.Containers {
			if row.State != recover.RowUp && row.State != recover.RowActive {
				n.t.Errorf("%s is %s: %s", row.Name, row.State, row.Error)
			}
		}
		n.wantRunning(all...)
	})
}
