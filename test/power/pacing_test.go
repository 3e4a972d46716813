package power

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
	"archy-recovery/test/vm"
)

// During their starts the containers together need more memory than the machine
// has. All must come up with any number of parallel starts. The log shows how long
// each number took.
func TestPacing(t *testing.T) {
	const databases, others, hold = 2, 16, 80 // MB each
	n := start(t, vm.Options{FS: vm.Ext4, Memory: 1024, Limit: 20 * time.Minute}, "DeadlineSec=30min\n")
	n.MustRun("sh", "-c", "fallocate -l 2G /swap && chmod 600 /swap && mkswap /swap && swapon /swap")
	var set recover.Snapshot
	for i := range databases + others {
		name, tier := fmt.Sprintf("other%02d", i), 3
		if i < databases {
			name, tier = fmt.Sprintf("database%d", i), 0
		}
		set.Containers = append(set.Containers, recover.Container{Name: name, Unit: name + ".service", Tier: &tier})
		n.WriteFile("/etc/containers/systemd/"+name+".container", fmt.Sprintf(
			"[Container]\nImage=%s\nContainerName=%s\nLabel=%s=%d\nNotify=true\nExec=-burn 10s -hog %d\n"+
				"[Service]\nTimeoutStartSec=900\n",
			machine.Image, name, recover.TierLabel, tier, hold), 0o644)
	}
	n.MustRun("systemctl", "daemon-reload")
	snapshot, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	var rows string
	for _, pace := range []struct{ what, conf string }{
		{"follows the pressure", ""},
		{"8", "MinParallel=8\nMaxParallel=8\n"},
		{"18: no bound", "MinParallel=18\nMaxParallel=18\n"},
	} {
		n.MustRun("sh", "-c", "systemctl stop archy-recovery.socket "+service+
			" 'other*.service' 'database*.service'; systemctl reset-failed; "+
			"rm -f "+dataDir+"/in-flight.json "+dataDir+"/quarantine.json; "+
			"sync; echo 3 >/proc/sys/vm/drop_caches; swapoff /swap; swapon /swap")
		n.WriteFile("/etc/archy-recovery.conf.d/60-pace.conf",
			"[Recovery]\n"+pace.conf+"FirstAttemptSec=10min\nTierDeadlineSec=10min\n", 0o644)
		n.WriteFile(dataDir+"/running-containers.json", string(snapshot), 0o644)
		n.WriteFile(dataDir+"/archipelago.pid", "1\n", 0o644)
		before := n.memoryStall()
		n.MustRun("systemctl", "start", "--no-block", service)
		n.MustRun("timeout", "900", "sh", "-c", "until systemctl is-active --quiet "+service+"; do sleep 1; done")
		stalled := n.memoryStall() - before
		var st control.Status
		if err := json.Unmarshal([]byte(n.MustRun("archy-recovery", "--system", "status", "--json")), &st); err != nil {
			t.Fatal(err)
		}
		for _, row := range st.Containers {
			if row.State != recover.RowUp {
				t.Errorf("%s: %s is %s: %s", pace.what, row.Name, row.State, row.Error)
			}
		}
		took := st.Finished.Sub(st.Started)
		rows += fmt.Sprintf("| %s | %d | %.0f s | %.0f s | %.1f %% |\n", pace.what, maxParallel(st.Containers),
			tierReady(st, 0).Seconds(), took.Seconds(), 100*stalled.Seconds()/took.Seconds())
		t.Logf("so far:\n%s", rows)
	}
	t.Logf("\n| parallel starts | at most | databases ready | all ready | some task waited for memory |\n"+
		"|---|---|---|---|---|\n%s", rows)
}

// memoryStall returns how long at least one task has waited for memory since the
// boot.
func (n *node) memoryStall() time.Duration {
	n.t.Helper()
	stall, err := machine.ParseStall(n.MustRun("cat", "/proc/pressure/memory"))
	if err != nil {
		n.t.Fatal(err)
	}
	return stall
}

// tierReady returns the time from the begin of the recovery until the tier was
// ready.
func tierReady(st control.Status, tier int) (ready time.Duration) {
	for _, row := range st.Containers {
		if row.Tier == tier {
			ready = max(ready, row.Ended().Sub(st.Started))
		}
	}
	return ready
}

// maxParallel returns the largest number of starts in progress at one moment.
func maxParallel(rows []recover.Row) (most int) {
	type change struct {
		at time.Time
		by int
	}
	var changes []change
	for _, row := range rows {
		for _, a := range row.Attempts {
			changes = append(changes, change{a.Started, 1}, change{a.Ended, -1})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return a.at.Compare(b.at) })
	now := 0
	for _, c := range changes {
		now += c.by
		most = max(most, now)
	}
	return most
}
