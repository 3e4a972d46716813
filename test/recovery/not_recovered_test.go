package recovery

import (
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

// podman's storage is not mounted, so all containers are missing. That is a failure,
// not "complete", and they stay in the set: after the next boot with the storage they
// run again. A quarantined container is no success either.
func TestNotAllRecovered(t *testing.T) {
	onBothInstances(t, "SoakSec=1\nProbationSec=1\n", func(n *node) {
		all := []string{"one", "three", "two"}
		for _, name := range all {
			n.plain(name, 3)
		}
		n.enable()
		n.waitSaved(all...)

		// The storage of the boot is an empty directory.
		conf, dir := "/etc/containers/storage.conf", "/var/lib/containers/empty"
		if n.uid != 0 {
			conf, dir = "/home/archy/.config/containers/storage.conf", "/home/archy/.local/share/containers/empty"
		}
		n.user.MustRun("mkdir", dir)
		n.PullPlug()
		n.WriteFile(conf, "[storage]\ndriver = \"overlay\"\ngraphroot = \""+dir+"\"\n"+n.runRoot(), 0o644, n.uid)
		n.Boot()
		st := n.waitRecovered()
		if known := n.user.MustRun("podman", "ps", "--all", "--quiet"); known != "" {
			n.t.Fatalf("podman still knows the containers: %s", known)
		}
		n.wantStates(st, map[string]recover.RowState{
			"one": recover.RowMissing, "two": recover.RowMissing, "three": recover.RowMissing})
		n.wantNotAllRecovered()
		n.wantWarned()
		if !strings.Contains(st.Progress, "3 missing") || strings.HasPrefix(st.Progress, "complete: ") {
			n.t.Errorf("the status says %q", st.Progress)
		}
		if out := n.shown(); !strings.Contains(out, "mounted") {
			n.t.Errorf("the status does not advise to look for the disk:\n%s", out)
		}
		n.wantLog("mounted")
		n.waitSaved(all...)

		n.PullPlug()
		n.Remove(conf)
		n.Boot()
		n.waitRecovered()
		n.wantRunning(all...)
		if out, err := n.Run(n.command("wait")...); err != nil {
			n.t.Errorf("all run, and wait prints %q and ends with %v", out, err)
		}

		n.waitSoaked()
		n.PullPlug()
		n.WriteFile(n.dataFile("quarantine.json"), `[{"name":"one","strikes":2,"bootId":"`+strings.Repeat("0", 32)+
			`","since":"2026-01-02T03:04:05Z","quarantined":true}]`, 0o644, n.uid)
		n.Boot()
		st = n.waitRecovered()
		n.wantStates(st, map[string]recover.RowState{
			"one": recover.RowQuarantined, "two": recover.RowUp, "three": recover.RowUp})
		n.wantRunning("three", "two")
		n.wantNotAllRecovered()
		n.wantWarned()
		if !strings.Contains(st.Progress, "1 quarantined") {
			n.t.Errorf("the status says %q", st.Progress)
		}
	})
}

// runRoot is the line of storage.conf(5) with the default of podman's directory below
// /run. podman asks for it beside graphroot=.
func (n *node) runRoot() string {
	if n.uid != 0 {
		return "runroot = \"/run/user/1000/containers\"\n"
	}
	return "runroot = \"/run/containers/storage\"\n"
}
