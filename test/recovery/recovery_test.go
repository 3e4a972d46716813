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

// Twenty containers in five tiers, of every kind that podman and systemd know:
// after a pulled plug all run, by systemd's own clock no tier began before the
// one below was up, and inside a tier they overlap.
func TestTwentyContainersInFiveTiers(t *testing.T) {
	both(t, "", func(n *node) {
		var all []string
		for tier := range 5 {
			name := func(kind string) string {
				all = append(all, fmt.Sprintf("%s%d", kind, tier))
				return all[len(all)-1]
			}
			// Two that take their time: so overlap and order show.
			n.quadlet(name("slow"), tier, "Notify=true\nExec=-ready-after 500ms", "")
			n.quadlet(name("slower"), tier, "Notify=true\nExec=-ready-after 700ms", "")
			n.user.Systemctl("start", fmt.Sprintf("slow%d", tier), fmt.Sprintf("slower%d", tier))
			n.plain(name("plain"), tier)
			n.generated(name("gen"), tier, tier%2 == 0)
		}
		n.enable()
		n.saved(all...)
		before := n.BootID()
		n.crash()
		st := n.wait()
		n.wantRunning(all...)

		if st.Verdict.Ending != recover.HostCrashed || st.Verdict.Previous.BootID != before {
			n.t.Errorf("verdict %+v, want a host crash of boot %s", st.Verdict, before)
		}
		wantTierOrder(n, st)
		n.saved(all...)
	})
}

// wantTierOrder holds the units' own timestamps against the tiers.
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
		if row.Generated { // a unit that starts its container and is done
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
			n.t.Errorf("tier %d: starts took %d µs together and %d µs in all: they did not overlap", tier, s.slowest, s.last-s.first)
		}
	}
}

func TestUserStoppedAndCleanBoots(t *testing.T) {
	both(t, "CleanBootList=filebrowser", func(n *node) {
		for _, name := range []string{"one", "two", "filebrowser"} {
			n.quadlet(name, 3, "", "")
			n.user.Systemctl("start", name)
		}
		n.plain("plain", 3)
		n.plain("nostr-rs-relay", 3) // on the list that the package ships
		n.enable()
		n.saved("one", "two", "filebrowser", "nostr-rs-relay", "plain")

		n.cli("user-stopped", "add", "two", "plain")
		if got := n.cli("user-stopped", "list"); got != "plain\ntwo\n" {
			n.t.Errorf("user-stopped list prints %q", got)
		}
		n.crash() // with two and plain still running, as the stale snapshot of a crash says
		st := n.wait()
		n.wantRunning("one", "filebrowser", "nostr-rs-relay")
		n.wantStates(st, map[string]recover.RowState{"one": recover.RowUp, "filebrowser": recover.RowUp,
			"nostr-rs-relay": recover.RowUp, "two": recover.RowUserStopped, "plain": recover.RowUserStopped})

		n.Reboot()
		st = n.wait()
		if st.Verdict.Ending != recover.EndedCleanly {
			n.t.Errorf("after a clean reboot the verdict is %+v", st.Verdict)
		}
		n.wantRunning("filebrowser", "nostr-rs-relay")

		n.cli("user-stopped", "add", "filebrowser")
		n.cli("user-stopped", "remove", "plain")
		n.Reboot()
		n.wait()
		n.wantRunning("nostr-rs-relay")

		n.configure("CleanBoot=restore")
		n.user.Systemctl("start", "one", "two")
		n.cli("user-stopped", "remove", "two")
		n.saved("one", "two", "nostr-rs-relay")
		n.Reboot()
		n.wait()
		n.wantRunning("one", "two", "nostr-rs-relay")

		// A crash after a clean boot brings back what that boot ran.
		n.user.Systemctl("stop", "one")
		n.saved("two", "nostr-rs-relay")
		n.crash()
		n.wait()
		n.wantRunning("two", "nostr-rs-relay")
	})
}

// A health monitor that is ordered after recovery starts after READY, also
// when some containers failed.
func TestAHealthMonitorWaits(t *testing.T) {
	both(t, "RetryPauseSec=1", func(n *node) {
		n.WriteFile("/etc/systemd/system/monitor.service", fmt.Sprintf(
			"[Unit]\nAfter=%[1]s\nWants=%[1]s\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n", n.unit()), 0o644, 0)
		n.MustRun("systemctl", "enable", "monitor.service")
		n.quadlet("good", 1, "Notify=true\nExec=-ready-after 1s", "")
		n.user.Systemctl("start", "good")
		n.enable()
		n.saved("good")

		monitored := func() {
			n.t.Helper()
			ready := n.micros(n.Shell, n.unit(), "ActiveEnterTimestampMonotonic")
			if began := n.micros(n.Shell, "monitor.service", "ExecMainStartTimestampMonotonic"); began < ready {
				n.t.Errorf("the monitor began %d µs before READY", ready-began)
			}
		}
		n.crash()
		n.wait()
		n.MustRun("systemctl", "start", "monitor.service") // waits for its job, should boot not be over
		monitored()
		n.wantRunning("good")

		n.quadlet("wrong", 0, "Notify=true\nExec=-state /nowhere", "")
		n.PullPlug()
		n.WriteFile(n.data("running-containers.json"), `{"timestamp":1,"containers":[{"name":"good","image":"x"},{"name":"wrong","image":"x"}]}`, 0o644, n.uid)
		n.Boot()
		st := n.wait()
		n.wantStates(st, map[string]recover.RowState{"good": recover.RowUp, "wrong": recover.RowFailed})
		n.MustRun("systemctl", "start", "monitor.service")
		monitored()
		if text := n.Show(n.unit(), "StatusText")["StatusText"]; !strings.Contains(text, "1 failed") {
			n.t.Errorf("STATUS is %q", text)
		}
		if _, err := n.Run(n.command("wait")...); err == nil || !strings.Contains(err.Error(), "exit status 3") {
			n.t.Errorf("wait: %v, want exit status 3", err)
		}
	})
}

// The daemon dies: systemd starts it again, what runs keeps running, what died
// meanwhile comes back.
func TestADaemonThatIsKilled(t *testing.T) {
	both(t, "", func(n *node) {
		n.quadlet("lives", 1, "", "")
		n.quadlet("dies", 1, "", "")
		n.user.Systemctl("start", "lives", "dies")
		n.plain("plain", 1)
		n.plain("plaindies", 1)
		n.enable()
		n.saved("dies", "lives", "plain", "plaindies")
		pid := func(name string) string {
			return strings.TrimSpace(n.user.MustRun("podman", "inspect", "--format", "{{.State.Pid}}", name))
		}
		lives, plain := pid("lives"), pid("plain")
		daemon := n.Show(n.unit(), "MainPID")["MainPID"]
		n.MustRun("kill", "-9", pid("dies"), pid("plaindies"))
		n.MustRun("systemctl", "kill", "--signal=SIGKILL", n.unit())
		n.WaitFor(20*time.Second, "the daemon's restart", func() bool {
			now := n.Show(n.unit(), "MainPID", "ActiveState")
			return now["ActiveState"] == "active" && now["MainPID"] != daemon
		})
		st := n.wait()
		n.wantRunning("dies", "lives", "plain", "plaindies")
		if st.Verdict.Ending != recover.ServiceCrashed {
			n.t.Errorf("verdict is %+v", st.Verdict)
		}
		n.wantStates(st, map[string]recover.RowState{"dies": recover.RowUp, "plaindies": recover.RowUp,
			"lives": recover.RowActive, "plain": recover.RowActive})
		if pid("lives") != lives || pid("plain") != plain {
			n.t.Error("a container that ran was restarted")
		}
	})
}

// The plug is pulled in the middle of recovery: the next boot recovers all.
func TestACrashInTheMiddleOfRecovery(t *testing.T) {
	both(t, "", func(n *node) {
		n.quadlet("quick", 0, "", "")
		n.quadlet("slow", 1, "Notify=true\nExec=-ready-after 3s", "")
		n.quadlet("last", 2, "", "")
		n.user.Systemctl("start", "quick", "slow", "last")
		n.plain("plain", 2)
		n.enable()
		all := []string{"last", "plain", "quick", "slow"}
		n.saved(all...)

		n.PullPlug()
		n.BootNoWait()
		n.WaitFor(30*time.Second, "the middle of recovery", func() bool {
			st, err := n.status()
			if st.RecoveryComplete {
				n.t.Fatal("recovery was over before the plug could be pulled")
			}
			return err == nil && states(st)["quick"] == recover.RowUp && states(st)["slow"] == recover.RowStarting
		})
		n.crash()
		st := n.wait()
		n.wantRunning(all...)
		if st.Verdict.Ending != recover.HostCrashed {
			n.t.Errorf("verdict is %+v", st.Verdict)
		}
	})
}

// The old module's files are taken over as they are. Its bare PID may belong
// to another live process after the reboot, here to PID 1: still a crash.
func TestTheOldModulesFilesAreTakenOver(t *testing.T) {
	both(t, "RetryPauseSec=1", func(n *node) {
		n.quadlet("q", 3, "", "")
		n.quadlet("bitcoin-knots", 3, "", "")
		n.quadlet("stopped", 3, "", "")
		n.plain("archy-mempool-db", 3)
		n.MustRun("systemctl", "enable", n.unit())
		n.PullPlug()
		n.WriteFile(n.data("archipelago.pid"), "1", 0o644, n.uid)
		n.WriteFile(n.data("running-containers.json"), `{
  "timestamp": 1746458369,
  "containers": [
    {"name": "q", "image": "localhost/testapp:1"},
    {"name": "bitcoin-knots", "image": "localhost/testapp:1"},
    {"name": "archy-mempool-db", "image": "localhost/testapp:1"},
    {"name": "stopped", "image": "localhost/testapp:1"},
    {"name": "gone", "image": "localhost/testapp:1"}
  ]
}`, 0o644, n.uid)
		n.WriteFile(n.data("user-stopped.json"), `["stopped"]`, 0o644, n.uid)
		if n.uid != 0 { // as systemd would have made it
			n.PowerOff()
			n.Boot()
		} else {
			n.Boot()
		}
		st := n.wait()
		n.wantRunning("archy-mempool-db", "bitcoin-knots", "q")
		n.wantStates(st, map[string]recover.RowState{"archy-mempool-db": recover.RowUp, "bitcoin-knots": recover.RowUp,
			"q": recover.RowUp, "stopped": recover.RowUserStopped, "gone": recover.RowMissing})
		if !st.Verdict.Unclean() || len(st.Failed()) > 0 {
			n.t.Errorf("verdict %+v, failed %v", st.Verdict, st.Failed())
		}
		// By the shipped table: databases before bitcoind before the rest.
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

func TestDamagedFiles(t *testing.T) {
	both(t, "CleanBootList=filebrowser", func(n *node) {
		for _, name := range []string{"one", "stopped", "filebrowser"} {
			n.quadlet(name, 3, "", "")
			n.user.Systemctl("start", name)
		}
		n.enable()
		n.saved("filebrowser", "one", "stopped")
		n.cli("user-stopped", "add", "stopped")
		snapshot, err := n.ReadFile(n.data("running-containers.json"))
		if err != nil {
			n.t.Fatal(err)
		}
		// Each boot is a crash with the same snapshot, and one thing broken.
		for _, c := range []struct {
			what   string
			damage func()
			want   []string
			log    string
		}{
			{"the marker is garbage", func() { n.WriteFile(n.data("archipelago.pid"), "\x00\x00\x00", 0o644, n.uid) },
				[]string{"filebrowser", "one"}, "the marker cannot be read"},
			{"the snapshot is cut short", func() { n.WriteFile(n.data("running-containers.json"), snapshot[:len(snapshot)/2], 0o644, n.uid) },
				[]string{"filebrowser", "one"}, "the last good generation is"},
			{"the snapshot and its last generation are garbage", func() {
				n.WriteFile(n.data("running-containers.json"), "{", 0o644, n.uid)
				n.WriteFile(n.data("running-containers.json.previous"), "", 0o644, n.uid)
			}, []string{"filebrowser"}, "no snapshot can be read"},
			{"the user-stopped list is empty", func() { n.WriteFile(n.data("user-stopped.json"), "", 0o644, n.uid) },
				[]string{"filebrowser", "one"}, "the last good generation is"},
			{"the user-stopped list is gone", func() { n.Remove(n.data("user-stopped.json")) },
				[]string{"filebrowser", "one"}, "the last good generation is"},
			{"the user-stopped list and its last generation are garbage", func() {
				n.WriteFile(n.data("user-stopped.json"), "[", 0o644, n.uid)
				n.WriteFile(n.data("user-stopped.json.previous"), "[", 0o644, n.uid)
			}, nil, "nothing is started"},
		} {
			n.PullPlug()
			n.Remove(n.data("in-flight.json")) // so many crashes in a row would make suspects
			n.Remove(n.data("quarantine.json"))
			n.WriteFile(n.data("running-containers.json"), snapshot, 0o644, n.uid)
			n.WriteFile(n.data("running-containers.json.previous"), snapshot, 0o644, n.uid)
			n.WriteFile(n.data("user-stopped.json"), `["stopped"]`, 0o644, n.uid)
			n.WriteFile(n.data("user-stopped.json.previous"), `["stopped"]`, 0o644, n.uid)
			c.damage()
			n.Boot()
			n.wait()
			if got := n.running(); !slices.Equal(got, c.want) {
				n.t.Errorf("%s: running are %q, want %q", c.what, got, c.want)
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

// One container of tier 0 never becomes ready: the others do not wait for its
// time-outs, and the failure is reported.
func TestAContainerThatNeverBecomesReady(t *testing.T) {
	conf := "TierDeadlineSec=3\nFirstAttemptSec=6\nRetryPauseSec=1\nSecondAttemptSec=6\n"
	both(t, conf, func(n *node) {
		// Recovery takes longer than start-up may: the daemon has to ask for more.
		n.WriteFile("/etc/systemd/system/"+n.unit()+".d/short.conf", "[Service]\nTimeoutStartSec=4\n", 0o644, 0)
		n.quadlet("hung", 0, "Notify=true\nExec=-never-ready", "TimeoutStartSec=infinity")
		for i := range 4 {
			n.quadlet(fmt.Sprintf("app%d", i), i, "", "")
			n.user.Systemctl("start", fmt.Sprintf("app%d", i))
		}
		n.enable()
		n.PullPlug()
		n.WriteFile(n.data("running-containers.json"), `{"timestamp":1,"containers":[
			{"name":"hung","image":"x"},{"name":"app0","image":"x"},{"name":"app1","image":"x"},{"name":"app2","image":"x"},{"name":"app3","image":"x"}]}`, 0o644, n.uid)
		n.BootNoWait() // the hung unit keeps systemd's start-up from ending
		n.WaitFor(30*time.Second, "the socket", func() bool { _, err := n.status(); return err == nil })
		st := n.wait()
		n.wantStates(st, map[string]recover.RowState{"hung": recover.RowFailed,
			"app0": recover.RowUp, "app1": recover.RowUp, "app2": recover.RowUp, "app3": recover.RowUp})
		for _, row := range st.Containers {
			// The tier deadline of 3 s, and room for a busy machine; its two
			// attempts last 13 s.
			if late := row.Ended().Sub(st.Started); row.Name != "hung" && late > 8*time.Second {
				n.t.Errorf("%s was up only after %s", row.Name, late)
			}
		}
		failed := st.Failed()
		if len(failed) != 1 || len(failed[0].Attempts) != 2 || !strings.Contains(failed[0].Error, "not up within 6s") {
			n.t.Errorf("failed are %+v", failed)
		}
		n.wantLog("not recovered")
		if text := n.Show(n.unit(), "StatusText")["StatusText"]; !strings.Contains(text, "1 failed") {
			n.t.Errorf("STATUS is %q", text)
		}
	})
}
