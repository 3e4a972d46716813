package recovery

import (
	"slices"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// A backup job runs at a crash. It is started once more and counts as up while it
// runs, and READY does not wait for its end. After that end it is not started again.
func TestJobs(t *testing.T) {
	// The attempts of other containers may take 16 s, so READY would come later than that
	// if these limits concerned a job.
	const conf = "FirstAttemptSec=10\nRetryPauseSec=1\nSecondAttemptSec=5\nSoakSec=1\nProbationSec=1\n"
	onBothInstances(t, conf, func(n *node) {
		n.quadlet("app", 1, "", "")
		n.user.Systemctl("start", "app")
		for _, name := range []string{"backup", "import", "nightly"} {
			n.quadlet(name, 0, n.stateVolume(name)+"\nExec=-state /state", "Type=oneshot")
		}
		n.nightlyTimer()
		n.user.Reload()
		n.user.Systemctl("start", "nightly.timer")
		n.enable()
		// The timer's job of last night fails while the daemon keeps the set.
		n.startJobs("nightly")
		n.waitSaved("app", "nightly")
		n.MustRun("kill", "-9", n.pid("nightly"))
		n.WaitFor(20*time.Second, "the job's failure", func() bool {
			return n.user.Show("nightly", "ActiveState")["ActiveState"] == "failed"
		})
		n.cli("snapshot")
		// The other two run at the crash.
		n.startJobs("backup", "import")
		n.wantStarts("before the crash", "1", "backup", "import", "nightly")

		n.PullPlug()
		n.BootNoWait() // a job that runs keeps systemd's start-up from ending
		w := n.watch()
		st := w.awaitReady(3 * time.Minute)
		if took := st.took(); took > 14*time.Second {
			n.t.Errorf("READY came after %s, so it waited for a job", took)
		}
		n.awaitJobs("backup", "import")
		if unit := n.user.Show("backup", "ActiveState", "SubState"); unit["ActiveState"] != "activating" {
			n.t.Errorf("the unit of a job that runs is %v", unit)
		}
		st = w.last()
		for _, name := range []string{"backup", "import"} {
			row := st.row(name)
			if row.State != recover.RowUp || !row.Job || len(row.Attempts) != 1 || row.Now != "running" {
				n.t.Errorf("%s runs; it is %q after %d attempts, now %q, a job: %t (%s)",
					name, row.State, len(row.Attempts), row.Now, row.Job, row.Error)
			}
		}
		n.wantStarts("after the crash", "2", "backup", "import")
		n.wantStarts("after the crash", "1", "nightly")

		// One ends with 0, long after READY; the other one fails.
		n.endJob(w, "backup", "-TERM", recover.RowDone)
		n.endJob(w, "import", "-KILL", recover.RowFell)
		if fell := lastFall(w.last().row("import")); fell == nil || fell.ExitCode != 137 {
			n.t.Errorf("import ended with 137, and its fall is %+v", fell)
		}
		n.wantStarts("after their end", "2", "backup", "import") // there is no second attempt

		// They have ended, so the next two crashes do not start them.
		for _, crash := range []string{"second", "third"} {
			n.waitSoaked()
			n.PullPlug()
			n.BootNoWait()
			n.watch().awaitReady(3 * time.Minute)
			n.WaitFor(20*time.Second, "app", func() bool { return slices.Contains(n.running(), "app") })
			n.wantStarts("after the "+crash+" crash", "2", "backup", "import")
			n.wantStarts("after the "+crash+" crash", "1", "nightly")
		}

		// With Jobs=leave, a job that runs at the crash is left alone.
		n.configure(conf + "Jobs=leave\n")
		n.waitSoaked()
		n.startJobs("backup")
		n.PullPlug()
		n.BootNoWait()
		w = n.watch()
		st = w.awaitReady(3 * time.Minute)
		if row := st.row("backup"); row.State != recover.RowSkipped || row.Error == "" {
			n.t.Errorf("with Jobs=leave, backup is %q (%s), want skipped, and why", row.State, row.Error)
		}
		n.wantStarts("with Jobs=leave", "3", "backup") // the start by hand was the third
		if out, err := n.Run(n.command("wait")...); err != nil {
			n.t.Errorf("wait prints %q and ends with %v: a job that is left alone is no failure", out, err)
		}
	})
}

// startJobs starts jobs and has the daemon note that they run. systemd has no signal
// for the start of a job's container, only for that of its unit before.
func (n *node) startJobs(names ...string) {
	n.t.Helper()
	n.user.Systemctl(append([]string{"start", "--no-block"}, names...)...)
	n.awaitJobs(names...)
	n.cli("snapshot")
}

// awaitJobs waits until the jobs run.
func (n *node) awaitJobs(names ...string) {
	n.t.Helper()
	n.WaitFor(30*time.Second, "the jobs", func() bool {
		running := n.running()
		return !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(running, name) })
	})
}

// nightlyTimer makes a timer for the unit nightly.service. It does not elapse during
// the test.
func (n *node) nightlyTimer() {
	n.t.Helper()
	dir := "/etc/systemd/system/"
	if n.uid == machine.User {
		dir = "/home/archy/.config/systemd/user/"
	}
	n.WriteFile(dir+"nightly.timer", "[Timer]\nOnCalendar=2100-01-01\n[Install]\nWantedBy=timers.target\n", 0o644, n.uid)
	n.user.Reload()
	n.user.Systemctl("enable", "nightly.timer")
}

// endJob signals a job's program and checks that its end is reported, and that the
// job leaves the set.
func (n *node) endJob(w *watch, name, signal string, want recover.RowState) {
	n.t.Helper()
	n.MustRun("kill", signal, n.pid(name))
	n.WaitFor(20*time.Second, "the job's end", func() bool {
		return n.user.Show(name, "ActiveState")["ActiveState"] != "activating"
	})
	st, ended := w.tryAwait(5*time.Second, name+" "+string(want), func(st shownStatus) bool {
		return st.row(name).State == want
	})
	if row := st.row(name); !ended || row.Now != "down" || len(row.Attempts) != 1 {
		n.t.Errorf("the job %s has ended, and its row is not %s:\n%s", name, want, n.shown())
	}
	n.cli("snapshot")
	for _, c := range n.savedSet() {
		if c.Name == name {
			n.t.Errorf("the job %s has ended, and it is still in the set: %+v", name, c)
		}
	}
}

// lastFall is the fall of a row's last attempt, nil without one.
func lastFall(row shownRow) *recover.Fall {
	if len(row.Attempts) == 0 {
		return nil
	}
	return row.Attempts[len(row.Attempts)-1].Fell
}

// wantStarts checks how often the programs of containers were started.
func (n *node) wantStarts(when, want string, names ...string) {
	n.t.Helper()
	for _, name := range names {
		if got := n.startCount(name); got != want {
			n.t.Errorf("%s, %s was started %s times, want %s", when, name, got, want)
		}
	}
}
