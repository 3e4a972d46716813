package recovery

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
)

// Twenty containers in five tiers, of every kind, all run after a power failure.
// By systemd's timestamps, no tier began before the previous one was up, and the
// starts within a tier overlap.
func TestTwentyContainersInFiveTiers(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		var all []string
		for tier := range 5 {
			name := func(kind string) string {
				all = append(all, fmt.Sprintf("%s%d", kind, tier))
				return all[len(all)-1]
			}
			// Two slow ones make overlap and order visible.
			n.quadlet(name("slow"), tier, "Notify=true\nExec=-ready-after 500ms", "")
			n.quadlet(name("slower"), tier, "Notify=true\nExec=-ready-after 700ms", "")
			n.user.Systemctl("start", fmt.Sprintf("slow%d", tier), fmt.Sprintf("slower%d", tier))
			n.plain(name("plain"), tier)
			n.generated(name("gen"), tier, tier%2 == 0)
		}
		n.enable()
		n.waitSaved(all...)
		before := n.BootID()
		n.crash()
		st := n.waitRecovered()
		n.wantRunning(all...)

		if st.Verdict.Ending != recover.HostCrashed || st.Verdict.Previous.BootID != before {
			n.t.Errorf("verdict %+v, want a host crash of boot %s", st.Verdict, before)
		}
		wantTierOrder(n, st)
		n.waitSaved(all...)
	})
}

// wantTierOrder compares the units' timestamps with the order of the tiers.
func wantTierOrder(n *node, st control.Status) {
	n.t.Helper()
	type span struct{ first, last, slowest int64 } // first start, last ready, longest start
	tiers := map[int]span{}
	for _, row := range st.Containers {
		if row.State != recover.RowUp {
			n.t.Errorf("%s is %s: %s", row.Name, row.State, row.Error)
			continue
		}
		begin := n.micros(n.user, row.Unit, "InactiveExitTimestampMonotonic")
		readyAt := "ActiveEnterTimestampMonotonic"
		if row.Generated { // this unit ends when it has started its container
			readyAt = "InactiveEnterTimestampMonotonic"
		}
		ready := n.micros(n.user, row.Unit, readyAt)
		s, ok := tiers[row.Tier]
		if !ok {
			s.first = begin
		}
		tiers[row.Tier] = span{min(s.first, begin), max(s.last, ready), s.slowest + ready - begin}
	}
	if len(tiers) != 5 {
		n.t.Errorf("%d tiers, want 5", len(tiers))
	}
	for tier, s := range tiers {
		if below, ok := tiers[tier-1]; ok && s.first < below.last {
			n.t.Errorf("tier %d began %d µs before tier %d had settled", tier, below.last-s.first, tier-1)
		}
		if s.slowest <= s.last-s.first {
			n.t.Errorf("tier %d: the sum of the starts is %d µs, and the tier took %d µs: they did not overlap",
				tier, s.slowest, s.last-s.first)
		}
	}
}

// User-stopped containers stay stopped after crashes and clean boots. A clean boot
// starts the clean-boot list, or with CleanBoot=restore the snapshot.
func TestUserStoppedAndCleanBoots(t *testing.T) {
	onBothInstances(t, "CleanBootList=filebrowser", func(n *node) {
		for _, name := range []string{"one", "two", "filebrowser"} {
			n.quadlet(name, 3, "", "")
			n.user.Systemctl("start", name)
		}
		n.plain("plain", 3)
		n.plain("nostr-rs-relay", 3) // on the clean-boot list that the package ships
		n.enable()
		n.waitSaved("one", "two", "filebrowser", "nostr-rs-relay", "plain")

		n.cli("user-stopped", "add", "two", "plain")
		if got := n.cli("user-stopped", "list"); got != "plain\ntwo\n" {
			n.t.Errorf("user-stopped list prints %q", got)
		}
		n.crash() // while two and plain still run
		st := n.waitRecovered()
		n.wantRunning("one", "filebrowser", "nostr-rs-relay")
		n.wantStates(st, map[string]recover.RowState{"one": recover.RowUp, "filebrowser": recover.RowUp,
			"nostr-rs-relay": recover.RowUp, "two": recover.RowUserStopped, "plain": recover.RowUserStopped})

		n.Reboot()
		st = n.waitRecovered()
		if st.Verdict.Ending != recover.EndedCleanly {
			n.t.Errorf("after a clean reboot the verdict is %+v", st.Verdict)
		}
		n.wantRunning("filebrowser", "nostr-rs-relay")

		n.cli("user-stopped", "add", "filebrowser")
		n.cli("user-stopped", "remove", "plain")
		n.Reboot()
		n.waitRecovered()
		n.wantRunning("nostr-rs-relay")

		n.configure("CleanBoot=restore")
		n.user.Systemctl("start", "one", "two")
		n.cli("user-stopped", "remove", "two")
		n.waitSaved("one", "two", "nostr-rs-relay")
		n.Reboot()
		n.waitRecovered()
		n.wantRunning("one", "two", "nostr-rs-relay")

		// A crash after a clean boot brings back what that boot ran.
		n.user.Systemctl("stop", "one")
		n.waitSaved("two", "nostr-rs-relay")
		n.crash()
		n.waitRecovered()
		n.wantRunning("two", "nostr-rs-relay")
	})
}

// A health monitor that is ordered after recovery starts after READY, also if
// containers failed.
func TestHealthMonitorStartsAfterReady(t *testing.T) {
	onBothInstances(t, "RetryPauseSec=1", func(n *node) {
		n.enableMonitor()
		n.quadlet("good", 1, "Notify=true\nExec=-ready-after 1s", "")
		n.user.Systemctl("start", "good")
		n.enable()
		n.waitSaved("good")
		n.crash()
		n.waitRecovered()
		n.wantMonitorAfterReady()
		n.wantRunning("good")

		n.quadlet("wrong", 0, "Notify=true\nExec=-state /nowhere", "")
		n.PullPlug()
		n.WriteFile(n.dataFile("running-containers.json"), `{"timestamp":1,"containers":[
			{"name":"good","image":"x"},{"name":"wrong","image":"x"}]}`, 0o644, n.uid)
		n.Boot()
		st := n.waitRecovered()
		n.wantStates(st, map[string]recover.RowState{"good": recover.RowUp, "wrong": recover.RowFailed})
		n.wantMonitorAfterReady()
		if text := n.Show(n.unit(), "StatusText")["StatusText"]; !strings.Contains(text, "1 failed") {
			n.t.Errorf("STATUS is %q", text)
		}
		if _, err := n.Run(n.command("wait")...); err == nil || !strings.Contains(err.Error(), "exit status 3") {
			n.t.Errorf("wait: %v, want exit status 3", err)
		}
	})
}

// enableMonitor installs a health monitor that is ordered after recovery.
func (n *node) enableMonitor() {
	n.t.Helper()
	n.WriteFile("/etc/systemd/system/monitor.service", fmt.Sprintf("[Unit]\nAfter=%[1]s\nWants=%[1]s\n"+
		"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"+
		"[Install]\nWantedBy=multi-user.target\n", n.unit()), 0o644, 0)
	n.MustRun("systemctl", "enable", "monitor.service")
}

// wantMonitorAfterReady waits for the start of the health monitor and checks that
// it began after READY.
func (n *node) wantMonitorAfterReady() {
	n.t.Helper()
	n.MustRun("systemctl", "start", "monitor.service") // waits for its job if the boot goes on
	ready := n.micros(n.Shell, n.unit(), "ActiveEnterTimestampMonotonic")
	if began := n.micros(n.Shell, "monitor.service", "ExecMainStartTimestampMonotonic"); began < ready {
		n.t.Errorf("the monitor began %d µs before READY", ready-began)
	}
}

// After a kill of the daemon, systemd starts it again. Containers that run keep
// running. Containers that died meanwhile run again.
func TestDaemonKilled(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.quadlet("lives", 1, "", "")
		n.quadlet("dies", 1, "", "")
		n.user.Systemctl("start", "lives", "dies")
		n.plain("plain", 1)
		n.plain("plaindies", 1)
		n.enable()
		n.waitSaved("dies", "lives", "plain", "plaindies")
		lives, plain := n.pid("lives"), n.pid("plain")
		daemon := n.daemonPID()
		n.MustRun("kill", "-9", n.pid("dies"), n.pid("plaindies"))
		n.MustRun("systemctl", "kill", "--signal=SIGKILL", n.unit())
		n.waitNewDaemon(20*time.Second, daemon)
		st := n.waitRecovered()
		n.wantRunning("dies", "lives", "plain", "plaindies")
		if st.Verdict.Ending != recover.ServiceCrashed {
			n.t.Errorf("verdict is %+v", st.Verdict)
		}
		n.wantStates(st, map[string]recover.RowState{"dies": recover.RowUp, "plaindies": recover.RowUp,
			"lives": recover.RowActive, "plain": recover.RowActive})
		if n.pid("lives") != lives || n.pid("plain") != plain {
			n.t.Error("a running container was restarted")
		}
	})
}

// The power fails during recovery. The next boot recovers all containers.
func TestCrashDuringRecovery(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.quadlet("quick", 0, "", "")
		n.quadlet("slow", 1, "Notify=true\nExec=-ready-after 3s", "")
		n.quadlet("last", 2, "", "")
		n.user.Systemctl("start", "quick", "slow", "last")
		n.plain("plain", 2)
		n.enable()
		all := []string{"last", "plain", "quick", "slow"}
		n.waitSaved(all...)

		n.PullPlug()
		n.BootNoWait()
		n.WaitFor(30*time.Second, "the middle of recovery", func() bool {
			st, err := n.status()
			if st.RecoveryComplete {
				n.t.Fatal("recovery was complete before the power could be cut")
			}
			return err == nil && states(st)["quick"] == recover.RowUp && states(st)["slow"] == recover.RowStarting
		})
		n.crash()
		st := n.waitRecovered()
		n.wantRunning(all...)
		if st.Verdict.Ending != recover.HostCrashed {
			n.t.Errorf("verdict is %+v", st.Verdict)
		}
	})
}

// The daemon reads the old module's files as they are. The bare PID in its marker
// may belong to another live process after the reboot, here to PID 1. That is a
// crash all the same.
func TestLegacyFiles(t *testing.T) {
	onBothInstances(t, "RetryPauseSec=1", func(n *node) {
		n.quadlet("q", 3, "", "")
		n.quadlet("bitcoin-knots", 3, "", "")
		n.quadlet("stopped", 3, "", "")
		n.plain("archy-mempool-db", 3)
		n.MustRun("systemctl", "enable", n.unit())
		n.PullPlug()
		n.WriteFile(n.dataFile("archipelago.pid"), "1", 0o644, n.uid)
		n.WriteFile(n.dataFile("running-containers.json"), `{
  "timestamp": 1746458369,
  "containers": [
    {"name": "q", "image": "localhost/testapp:1"},
    {"name": "bitcoin-knots", "image": "localhost/testapp:1"},
    {"name": "archy-mempool-db", "image": "localhost/testapp:1"},
    {"name": "stopped", "image": "localhost/testapp:1"},
    {"name": "gone", "image": "localhost/testapp:1"}
  ]
}`, 0o644, n.uid)
		n.WriteFile(n.dataFile("user-stopped.json"), `["stopped"]`, 0o644, n.uid)
		if n.uid != 0 { // systemd gives the files the owner that it would have made them with
			n.PowerOff()
		}
		n.Boot()
		st := n.waitRecovered()
		n.wantRunning("archy-mempool-db", "bitcoin-knots", "q")
		n.wantStates(st, map[string]recover.RowState{"archy-mempool-db": recover.RowUp, "bitcoin-knots": recover.RowUp,
			"q": recover.RowUp, "stopped": recover.RowUserStopped, "gone": recover.RowMissing})
		if !st.Verdict.Unclean() {
			n.t.Errorf("verdict %+v", st.Verdict)
		}
		// The shipped tier table orders databases before bitcoind before the rest.
		var order []string
		for _, row := range st.Containers {
			if row.State == recover.RowUp {
				order = append(order, row.Name)
			}
		}
		if want := []string{"archy-mempool-db", "bitcoin-knots", "q"}; !slices.Equal(order, want) {
			n.t.Errorf("order %q, want %q", order, want)
		}
	})
}

// Damaged files of the data directory do not stop recovery. The last good
// generation is used, and the journal says so.
func TestDamagedFiles(t *testing.T) {
	onBothInstances(t, "CleanBootList=filebrowser", func(n *node) {
		for _, name := range []string{"one", "stopped", "filebrowser"} {
			n.quadlet(name, 3, "", "")
			n.user.Systemctl("start", name)
		}
		n.enable()
		n.waitSaved("filebrowser", "one", "stopped")
		n.cli("user-stopped", "add", "stopped")
		snapshot, err := n.ReadFile(n.dataFile("running-containers.json"))
		if err != nil {
			n.t.Fatal(err)
		}
		// Each boot follows a crash with the same snapshot and one kind of damage.
		for _, c := range []struct {
			what   string
			damage func()
			want   []string
			log    string
		}{
			{"the marker is garbage", func() { n.WriteFile(n.dataFile("archipelago.pid"), "\x00\x00\x00", 0o644, n.uid) },
				[]string{"filebrowser", "one"}, "the marker cannot be read"},
			{"the snapshot is cut short", func() {
				n.WriteFile(n.dataFile("running-containers.json"), snapshot[:len(snapshot)/2], 0o644, n.uid)
			}, []string{"filebrowser", "one"}, "the last good generation is"},
			{"the snapshot and its last generation are garbage", func() {
				n.WriteFile(n.dataFile("running-containers.json"), "{", 0o644, n.uid)
				n.WriteFile(n.dataFile("running-containers.json.previous"), "", 0o644, n.uid)
			}, []string{"filebrowser"}, "no snapshot can be read"},
			{"the user-stopped list is empty", func() { n.WriteFile(n.dataFile("user-stopped.json"), "", 0o644, n.uid) },
				[]string{"filebrowser", "one"}, "the last good generation is"},
			{"the user-stopped list is gone", func() { n.Remove(n.dataFile("user-stopped.json")) },
				[]string{"filebrowser", "one"}, "the last good generation is"},
			{"the user-stopped list and its last generation are garbage", func() {
				n.WriteFile(n.dataFile("user-stopped.json"), "[", 0o644, n.uid)
				n.WriteFile(n.dataFile("user-stopped.json.previous"), "[", 0o644, n.uid)
			}, nil, "nothing is started"},
		} {
			n.PullPlug()
			n.Remove(n.dataFile("in-flight.json")) // crashes in quick succession would make suspects
			n.Remove(n.dataFile("quarantine.json"))
			n.WriteFile(n.dataFile("running-containers.json"), snapshot, 0o644, n.uid)
			n.WriteFile(n.dataFile("running-containers.json.previous"), snapshot, 0o644, n.uid)
			n.WriteFile(n.dataFile("user-stopped.json"), `["stopped"]`, 0o644, n.uid)
			n.WriteFile(n.dataFile("user-stopped.json.previous"), `["stopped"]`, 0o644, n.uid)
			c.damage()
			n.Boot()
			n.waitRecovered()
			if got := n.running(); !slices.Equal(got, c.want) {
				n.t.Errorf("%s: the running containers are %q, want %q", c.what, got, c.want)
			}
			if log := n.Journal("-b", "-u", n.unit()); !strings.Contains(log, c.log) {
				n.t.Errorf("%s: the journal does not say %q:\n%s", c.what, c.log, log)
			}
			if state := n.Show(n.unit(), "ActiveState")["ActiveState"]; state != "active" {
				n.t.Errorf("%s: the service is %s", c.what, state)
			}
		}
	})
}

// One container of tier 0 never becomes ready. The others do not wait for its
// timeouts, and the failure is reported.
func TestContainerNeverReady(t *testing.T) {
	conf := "TierDeadlineSec=3\nFirstAttemptSec=15\nRetryPauseSec=1\nSecondAttemptSec=15\n"
	onBothInstances(t, conf, func(n *node) {
		// Recovery takes longer than TimeoutStartSec=, so the daemon must extend it.
		n.dropIn("short.conf", "[Service]\nTimeoutStartSec=4\n")
		n.quadlet("hung", 0, "Notify=true\nExec=-never-ready", "TimeoutStartSec=infinity")
		for i := range 4 {
			n.quadlet(fmt.Sprintf("app%d", i), i, "", "")
			n.user.Systemctl("start", fmt.Sprintf("app%d", i))
		}
		n.enable()
		n.PullPlug()
		n.WriteFile(n.dataFile("running-containers.json"), `{"timestamp":1,"containers":[
			{"name":"hung","image":"x"},{"name":"app0","image":"x"},{"name":"app1","image":"x"},
			{"name":"app2","image":"x"},{"name":"app3","image":"x"}]}`, 0o644, n.uid)
		n.BootNoWait() // the hung unit keeps systemd's start-up from ending
		n.WaitFor(30*time.Second, "the socket", func() bool { _, err := n.status(); return err == nil })
		st := n.waitRecovered()
		n.wantStates(st, map[string]recover.RowState{"hung": recover.RowFailed,
			"app0": recover.RowUp, "app1": recover.RowUp, "app2": recover.RowUp, "app3": recover.RowUp})
		for _, row := range st.Containers {
			// This is the tier deadline of 3 s and a margin for a busy machine. Both
			// attempts of the hung container together take 31 s.
			if late := row.Ended().Sub(st.Started); row.Name != "hung" && late > 25*time.Second {
				n.t.Errorf("%s was up only after %s", row.Name, late)
			}
		}
		failed := st.NotRecovered()
		if len(failed) != 1 || len(failed[0].Attempts) != 2 || !strings.Contains(failed[0].Error, "not up within 15s") {
			n.t.Errorf("the failed containers are %+v", failed)
		}
		n.wantLog("not recovered")
		if text := n.Show(n.unit(), "StatusText")["StatusText"]; !strings.Contains(text, "1 failed") {
			n.t.Errorf("STATUS is %q", text)
		}
	})
}
