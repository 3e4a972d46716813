package recovery

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
	"archy-recovery/test/artifact"
	"archy-recovery/test/machine"
)

// oldBackend rewrites the user-stopped list again and again, as the Rust backend
// does (mark_user_stopped, clear_user_stopped). It reads and writes the whole list
// in place, without a lock or a sync. It takes an unreadable list for empty.
const oldBackend = `#!/bin/sh
cd /var/lib/archipelago
while :; do
	for change in '. + ["flip"] | unique' '. - ["flip"]'; do
		list=$(jq "$change" user-stopped.json 2>/dev/null || echo '[]')
		printf '%s' "$list" >user-stopped.json
		sleep 0.1
	done
done
`

// The steps of docs/migration.md work, from the old module to the package and back.
// The old backend goes on writing its list meanwhile. A crash comes in between.
func TestMigrationAndBack(t *testing.T) {
	t.Parallel()
	m := machine.Start(t)
	n := &node{m, t, machine.User, m.As(machine.User)}
	const dir = "/var/lib/archipelago/"
	n.runFirstPodman()
	for _, name := range []string{"archy-mempool-db", "lnd", "stopped", "flip"} {
		n.plain(name, 3)
	}
	n.user.MustRun("podman", "stop", "stopped", "flip")
	n.WriteFile(dir+"archipelago.pid", "999999999", 0o644, n.uid)
	n.WriteFile(dir+"running-containers.json", `{
  "timestamp": 1777990000,
  "containers": [
    {
      "name": "lnd",
      "image": "localhost/testapp:1"
    },
    {
      "name": "archy-mempool-db",
      "image": "localhost/testapp:1"
    }
  ]
}`, 0o644, n.uid)
	n.WriteFile(dir+"user-stopped.json", "[\n  \"stopped\"\n]", 0o644, n.uid)
	n.WriteFile("/usr/local/bin/old-backend", oldBackend, 0o755, 0)
	n.WriteFile("/etc/systemd/system/old-backend.service", "[Service]\nUser=archy\n"+
		"ExecStart=/usr/local/bin/old-backend\n[Install]\nWantedBy=multi-user.target\n", 0o644, 0)
	n.MustRun("systemctl", "enable", "--now", "old-backend.service")
	n.Install(artifact.Package(t))

	n.configure("SoakSec=1\nProbationSec=1") // the crash comes soon, and must make no suspects

	// Without the drop-in, the service names it and ends. systemd does not start it
	// again.
	const examples = "cd /usr/share/doc/archy-recovery/examples/archy && cp -r "
	n.MustRun("sh", "-c", examples+"archy-recovery@1000.conf /etc/")
	if _, err := n.Run("systemctl", "start", n.unit()); err == nil {
		t.Error("the service starts with a data directory that it may not write")
	}
	n.wantLog("ReadWritePaths=/var/lib/archipelago")
	n.wantLog("/etc/systemd/system/archy-recovery@1000.service.d/data-directory.conf")
	if now := n.Show(n.unit(), "NRestarts", "ActiveState"); now["NRestarts"] != "0" || now["ActiveState"] != "failed" {
		t.Errorf("without the drop-in, the unit is %v", now)
	}
	if text, _ := n.ReadFile(dir + "archipelago.pid"); text != "999999999" {
		t.Errorf("the marker is %q", text)
	}

	// With the drop-in, the service starts.
	n.MustRun("sh", "-c", examples+
		"archy-recovery@1000.service.d archy-recovery-reconcile@1000.service.d /etc/systemd/system/")
	n.Reload()
	n.enable()
	if st := n.waitRecovered(); !st.Verdict.Unclean() || len(st.NotRecovered()) > 0 {
		t.Errorf("verdict %+v, not recovered %v", st.Verdict, st.NotRecovered())
	}
	n.wantRunning("archy-mempool-db", "lnd")

	n.MustRun("systemctl", "stop", "old-backend.service") // between two of its changes
	n.cli("user-stopped", "add", "lnd")
	n.MustRun("systemctl", "start", "old-backend.service")
	n.crash()
	st := n.waitRecovered()
	n.wantRunning("archy-mempool-db")
	if got := states(st); got["lnd"] != recover.RowUserStopped || got["archy-mempool-db"] != recover.RowUp {
		t.Errorf("states are %v, verdict %+v", got, st.Verdict)
	}
	if st.Containers[0].Tier != 0 {
		t.Errorf("the shipped tier table has no effect: %+v", st.Containers[0])
	}

	// After a crash, the old module sees the crash and the containers that ran.
	n.user.MustRun("podman", "start", "lnd")
	n.MustRun("systemctl", "stop", "old-backend.service")
	n.cli("user-stopped", "remove", "lnd")
	n.cli("snapshot")
	n.PullPlug()
	crashed, names := n.oldModule(dir)
	if want := []string{"archy-mempool-db", "lnd"}; !crashed || !slices.Equal(names, want) {
		t.Errorf("the old module: crash %v, containers %q, want %q", crashed, names, want)
	}

	// After a clean stop, it sees no crash.
	n.Boot()
	n.waitRecovered()
	n.MustRun("dpkg", "--purge", "archy-recovery")
	if crashed, _ := n.oldModule(dir); crashed {
		t.Error("after removal the old module sees a crash")
	}
	n.wantRunning("archy-mempool-db", "lnd")
}

// oldModule reads the data directory as the old module does at its start
// (check_for_crash, load_user_stopped). It returns whether the module sees a crash,
// and the containers that it would start.
func (n *node) oldModule(dir string) (crashed bool, start []string) {
	n.t.Helper()
	_, err := n.ReadFile(dir + "archipelago.pid")
	crashed = err == nil
	var stopped []string
	text, err := n.ReadFile(dir + "user-stopped.json")
	if err == nil {
		err = json.Unmarshal([]byte(text), &stopped)
	}
	if err != nil {
		n.t.Errorf("the old module cannot read user-stopped.json: %v", err)
	}
	var snapshot struct {
		Timestamp  *uint64
		Containers []struct{ Name, Image *string }
	}
	text, err = n.ReadFile(dir + "running-containers.json")
	if err == nil {
		err = json.NewDecoder(strings.NewReader(text)).Decode(&snapshot)
	}
	if err != nil || snapshot.Timestamp == nil || snapshot.Containers == nil {
		n.t.Errorf("the old module cannot read running-containers.json: %v in\n%s", err, text)
	}
	for _, c := range snapshot.Containers {
		if c.Name == nil || c.Image == nil {
			n.t.Errorf("the old module cannot read running-containers.json:\n%s", text)
		} else if !slices.Contains(stopped, *c.Name) {
			start = append(start, *c.Name)
		}
	}
	slices.Sort(start)
	return crashed, start
}
