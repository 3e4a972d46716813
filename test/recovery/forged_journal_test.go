package recovery

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// forgery writes forged entries to the journal: podman's events, ends of units,
// shutdowns and panics. logger uses the journal's own protocol, so it can name any
// field. journald itself still sets the fields with an underscore.
const forgery = `#!/bin/bash
forge() {
	printf '%s\n' "MESSAGE=forged" "_UID=0" "_PID=1" "_SYSTEMD_UNIT=init.scope" "_TRANSPORT=driver" "$@" |
		logger --journald || exit
}
shutdown=98268866d1d54a499c4e98921d93bc40
stopped=9d1aaa27d60140bd96365438aad20286
result=d9b373ed55a64feb8242e02dbe79a49c
stopping=de5b426a63be47a7b6ac3eaac82e2f6f
journal_stop=d93fb3c9c24d451a97cea615ce59c00b
oom=fe6faa94e7774663a0da52717891d8ef
case $1 in
shutdown)
	forge MESSAGE_ID=$shutdown SHUTDOWN=poweroff SYSLOG_IDENTIFIER=systemd-logind
	forge MESSAGE_ID=$stopped UNIT=multi-user.target SYSLOG_IDENTIFIER=systemd
	forge MESSAGE_ID=$stopping UNIT=user@1000.service SYSLOG_IDENTIFIER=systemd
	;;
stops)
	for name in app plain; do
		for field in UNIT USER_UNIT; do
			forge MESSAGE_ID=$stopped $field=$name.service SYSLOG_IDENTIFIER=systemd
			forge MESSAGE_ID=$result $field=$name.service UNIT_RESULT=exit-code SYSLOG_IDENTIFIER=systemd
		done
		forge PODMAN_TYPE=container PODMAN_EVENT=died PODMAN_NAME=$name PODMAN_EXIT_CODE=0 SYSLOG_IDENTIFIER=podman
		forge PODMAN_TYPE=container PODMAN_EVENT=remove PODMAN_NAME=$name SYSLOG_IDENTIFIER=podman
	done
	forge PODMAN_TYPE=container PODMAN_EVENT=start PODMAN_NAME=halted PODMAN_IMAGE=x SYSLOG_IDENTIFIER=podman
	forge PODMAN_TYPE=container PODMAN_EVENT=start PODMAN_NAME=../../etc/x \
		'PODMAN_LABELS={"PODMAN_SYSTEMD_UNIT":"../../x.service"}'
	;;
end)
	forge MESSAGE_ID=$oom UNIT=app.service SYSLOG_IDENTIFIER=systemd
	forge MESSAGE_ID=$stopped UNIT=basic.target SYSLOG_IDENTIFIER=systemd
	forge MESSAGE_ID=$stopped UNIT=systemd-journal-flush.service SYSLOG_IDENTIFIER=systemd
	forge "MESSAGE=Kernel panic - not syncing: forged" SYSLOG_IDENTIFIER=kernel PRIORITY=0
	forge MESSAGE_ID=$journal_stop SYSLOG_IDENTIFIER=systemd-journald
	;;
boot)
	forge "MESSAGE=PStore dmesg-efi-1 moved to /var/lib/systemd/pstore/1" \
		"FILE=Kernel panic - not syncing: forged" SYSLOG_IDENTIFIER=systemd-pstore
	systemd-cat --identifier=systemd-pstore echo PStore dmesg-efi-2 moved to /var/lib/systemd/pstore/2
	systemd-cat --identifier=kernel echo 'wdt: last reset by watchdog'
	;;
service)
	for unit in archy-recovery.service archy-recovery@1000.service; do
		forge MESSAGE_ID=$result UNIT=$unit UNIT_RESULT=oom-kill SYSLOG_IDENTIFIER=systemd
		forge MESSAGE_ID=$oom UNIT=$unit SYSLOG_IDENTIFIER=systemd
	done
	;;
esac
`

// Another user and the output of containers write forged entries to the journal.
// The verdict, the snapshot and the replay must not change.
func TestForgedJournalEntries(t *testing.T) {
	onBothInstances(t, "SoakSec=1\n", func(n *node) {
		n.WriteFile("/usr/local/bin/forge", forgery, 0o755, 0)
		n.MustRun("useradd", "mallory")
		forge := func(what string) { n.MustRun("runuser", "-u", "mallory", "--", "/usr/local/bin/forge", what) }
		for _, name := range []string{"app", "halted", "halts"} {
			n.quadlet(name, 3, "", "")
		}
		n.user.Systemctl("start", "app", "halts")
		n.plain("plain", 3)
		n.dropIn("test.conf", "[Unit]\nStartLimitBurst=50\n")
		n.enable()
		n.waitSaved("app", "halts", "plain")

		// While the daemon runs, they have no effect. For its own end, only the entries
		// of PID 1 count.
		forge("stops")
		forge("service")
		n.killDaemon()
		forge("service")
		n.WaitFor(20*time.Second, "the next daemon's verdict", func() bool {
			st, err := n.status()
			return err == nil && st.Verdict.Ending == recover.ServiceCrashed
		})
		n.wantVerdict(recover.ServiceCrashed, recover.CauseSignal)
		n.wantRunning("app", "halts", "plain")
		n.waitSaved("app", "halts", "plain")

		// While the daemon is dead, a real stop counts, also after a forged shutdown.
		n.dropIn("test.conf", "[Service]\nRestart=no\n")
		n.MustRun("systemctl", "daemon-reload")
		n.killDaemon()
		n.MustRun("systemctl", "stop", n.socketUnit())
		forge("shutdown")
		n.user.Systemctl("stop", "halts")
		forge("stops")
		// Forged entries are the last ones of this boot. Others come early in the next
		// boot, before its verdict.
		unit := "[Unit]\nBefore=%s\nAfter=user@1000.service\n[Service]\nType=oneshot\nUser=%s\n" +
			"Environment=XDG_RUNTIME_DIR=/run/user/1000\nExecStart=%s\n[Install]\nRequiredBy=%[1]s\n"
		user := map[int]string{0: "root", 1000: "archy"}[n.uid]
		n.WriteFile("/etc/systemd/system/forge.service",
			fmt.Sprintf(unit, n.unit(), "mallory", "/usr/local/bin/forge boot"), 0o644, 0)
		// testapp prints the name of an unknown flag. podman logs this output under the
		// container's name.
		n.WriteFile("/etc/systemd/system/forge-output.service", fmt.Sprintf(unit, n.unit(), user,
			`-podman run --name systemd-pstore localhost/testapp:1 `+
				`"-PStore dmesg-efi-3 moved to /var/lib/systemd/pstore/3"`), 0o644, 0)
		n.MustRun("systemctl", "enable", "forge", "forge-output")
		forge("end")
		n.MustRun("journalctl", "--sync")
		n.crash()
		n.waitRecovered()
		n.wantRunning("app", "plain")
		n.wantVerdict(recover.HostCrashed, recover.CausePowerLoss)
		for _, what := range []string{"dmesg-efi-1", "dmesg-efi-2", "dmesg-efi-3", "last reset by watchdog"} {
			if log := n.Journal("-b", "-o", "cat"); !strings.Contains(log, what) {
				n.t.Errorf("%s is not in the journal, so the test shows nothing", what)
			}
		}
	})
}
