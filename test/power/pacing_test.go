package power

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
	"archy-recovery/test/vm"
)

// Containers that together need more memory while they start than the machine
// has: however many are started side by side, all come up, and the log says what
// each way took.
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
			"[Container]\nImage=%s\nContainerName=%s\nLabel=%s=%d\nNotify=true\nExec=-burn 10s -hog %d\n[Service]\nTimeoutStartSec=900\n",
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
		n.MustRun("sh", "-c", "systemctl stop archy-recovery.socket "+service+" 'other*.service' 'database*.service'; systemctl reset-failed; "+
			"rm -f "+data+"/in-flight.json "+data+"/quarantine.json; sync; echo 3 >/proc/sys/vm/drop_caches; swapoff /swap; swapon /swap")
		n.WriteFile("/etc/archy-recovery.conf.d/60-pace.conf", "[Recovery]\n"+pace.conf+"FirstAttemptSec=10min\nTierDeadlineSec=10min\n", 0o644)
		n.WriteFile(data+"/running-containers.json", string(snapshot), 0o644)
		n.WriteFile(data+"/archipelago.pid", "1\n", 0o644)
		before := n.stalled()
		n.MustRun("systemctl", "start", "--no-block", service)
		n.MustRun("timeout", "900", "sh", "-c", "until systemctl is-active --quiet "+service+"; do sleep 1; done")
		stalled := n.stalled() - before
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
		rows += fmt.Sprintf("| %s | %d | %.0f s | %.0f s | %.1f %% |\n", pace.what, sideBySide(st.Containers),
			tierReady(st, 0).Seconds(), took.Seconds(), 100*stalled.Seconds()/took.Seconds())
		t.Logf("so far:\n%s", rows)
	}
	t.Logf("\n| starts side by side | at most | databases ready | all ready | some task waited for memory |\n|---|---|---|---|---|\n%s", rows)
}

// stalled is for how long some task has waited for memory since the boot.
func (n *node) stalled() time.Duration {
	n.t.Helper()
	text := n.MustRun("cat", "/proc/pressure/memory")
	_, total, _ := strings.Cut(strings.SplitN(text, "\n", 2)[0], "total=")
	us, err := strconv.ParseInt(strings.TrimSpace(total), 10, 64)
	if err != nil {
		n.t.Fatalf("%q: %v", text, err)
	}
	return time.Duration(us) * time.Microsecond
}

// tierReady is how long after the begin of the recovery a tier was ready.
func tierReady(st control.Status, tier int) (ready time.Duration) {
	for _, row := range st.Containers {
		if row.Tier == tier {
			ready = max(ready, row.Ended().Sub(st.Started))
		}
	}
	return ready
}

// sideBySide is how many starts were under way at once, at most.
func sideBySide(rows []recover.Row) (most int) {
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
