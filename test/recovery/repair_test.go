package recovery

import (
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// After a crash a container that only podman's storage knows holds the name of one that its unit
// makes anew. repair shows that, removes it when asked, and the unit's own starts. A container
// that holds data is left, and so is an image.
func TestRepair(t *testing.T) {
	// Short waits save time, and the soak decides nothing here.
	onBothInstances(t, "RetryPauseSec=1s\nSoakSec=2s\n", func(n *node) {
		broken := n.damagedImage("broken")
		n.plain("own", 1)
		n.unitOfNew("left")
		n.user.Systemctl("start", "nameleft")
		database := n.graphRoot() + "/db.sql"
		n.user.MustRun("cp", database, database+".before")
		n.unitOfNew("stored")
		n.user.Systemctl("start", "namestored", "broken")
		n.enable()
		n.waitSaved("stored", "own", "broken", "left")
		damage := broken + damages["lost"] + "; mv " + database + ".before " + database
		for _, name := range []string{"own", "left"} {
			layer := strings.TrimSuffix(strings.TrimSpace(
				n.user.MustRun("podman", "inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", name)), "/diff")
			damage += "; truncate -s 0 " + layer + "/lower"
		}
		n.MustRun("sh", "-ec", damage)
		n.crash()
		n.waitSoaked()
		if row := n.waitExplained([]string{"stored"})["stored"]; row.LastAttempt().Why.Reason != "name-in-use-storage" {
			n.t.Fatalf("stored is %s: %s", row.State, row.Error)
		}
		// podman removes what is left of one with --rm by itself, if it is asked before the unit starts.
		st, err := n.status()
		leftDown := err != nil || states(st)["left"] != recover.RowUp
		// Without --yes nothing changes.
		plan := n.cli("repair")
		if strings.Contains(plan, "would start left") != leftDown {
			n.t.Errorf("left is down: %v, and repair says\n%s", leftDown, plan)
		}
		n.t.Log(plan)
		for _, want := range []string{"stored: its name is in use", "would remove the container", "would start stored",
			"own: its own layer is damaged", "left to you: no unit makes it anew",
			"broken: its image localhost/broken:1 is damaged",
			"left to you: the image has to come anew", "repair --yes"} {
			if !strings.Contains(plan, want) {
				n.t.Errorf("repair does not say %q:\n%s", want, plan)
			}
		}
		if again := n.cli("repair"); again != plan {
			n.t.Errorf("repair changed something:\n%s", again)
		}
		out, err := n.Run(n.command("repair", "--yes")...)
		n.t.Log(out)
		if err == nil {
			n.t.Error("that own is not mended is no success")
		}
		n.WaitFor(30*time.Second, "stored and left", func() bool {
			return slices.Contains(n.running(), "stored") && slices.Contains(n.running(), "left")
		})
		for kind, name := range map[string]string{"container": "own", "image": "localhost/broken:1"} {
			if _, err := n.user.Run("podman", kind, "exists", name); err != nil {
				n.t.Errorf("%s is gone: %v", name, err)
			}
		}
		n.wantLog("a step of a repair is done container=stored step=remove-container")
		n.waitSoaked()
		st, err = n.status()
		if got := states(st); err != nil || got["stored"] != recover.RowUp {
			n.t.Errorf("the states are %v, %v", got, err)
		}
		if out, err := n.Run(n.command("repair", "stored")...); err == nil {
			n.t.Errorf("stored is mended, and repair says %s", out)
		}
		// The commands that it prints for the image are enough.
		_, commands, _ := strings.Cut(plan, "has to come anew. ")
		commands, _, _ = strings.Cut(commands, "; then build")
		n.t.Log(n.user.MustRun("sh", "-ec", commands))
		n.damagedImage("broken") // it makes the image, and damages nothing
		n.cli("retry", "broken")
		n.WaitFor(30*time.Second, "broken", func() bool { return slices.Contains(n.running(), "broken") })
	})
}
