package journal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

// Every user may write entries to the journal, with any fields but those that
// begin with an underscore. So what is looked for by other fields must be
// looked for by one of these too, in every alternative of a match.
func TestEveryMatchNamesAFieldThatNobodyCanForge(t *testing.T) {
	calls := filepath.Join(t.TempDir(), "calls")
	r := journalctl(t, `echo "$@" >>`+calls)
	for _, r.uid = range []int{0, 1000} {
		_, _ = r.Events(t.Context(), "b", 0)
		_, _ = r.BootEnd(t.Context(), "a", "b")
		_, _ = r.ServiceEnd(t.Context(), "b")
	}
	text, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	matches := 0
	for call := range strings.Lines(string(text)) {
		for alternative := range strings.SplitSeq(strings.TrimSpace(call), " + ") {
			forgeable, held := false, false
			for word := range strings.FieldsSeq(alternative) {
				field, _, _ := strings.Cut(word, "=")
				switch {
				case strings.HasPrefix(word, "-"), field == "_BOOT_ID": // which says nothing of the sender
				case strings.HasPrefix(field, "_"):
					held = true
				default:
					forgeable = true
				}
			}
			matches++
			if forgeable && !held {
				t.Errorf("anybody can write what this matches: %s", alternative)
			}
		}
	}
	if matches < 10 {
		t.Errorf("only %d alternatives were seen in\n%s", matches, text)
	}
}

const (
	// by are senders, as journald sees them.
	byPID1    = `"_PID":"1","_UID":"0","_SYSTEMD_UNIT":"init.scope","_TRANSPORT":"journal"`
	byLogind  = `"_PID":"43","_UID":"0","_SYSTEMD_UNIT":"systemd-logind.service","_TRANSPORT":"journal"`
	byPstore  = `"_PID":"77","_UID":"0","_SYSTEMD_UNIT":"systemd-pstore.service","_TRANSPORT":"journal"`
	byGone    = `"_PID":"77","_UID":"0","_TRANSPORT":"journal"` // before journald could look at it
	byDriver  = `"_PID":"21","_UID":"0","_SYSTEMD_UNIT":"systemd-journald.service","_TRANSPORT":"driver"`
	byUser    = `"_PID":"900","_UID":"1001","_SYSTEMD_UNIT":"user@1001.service","_TRANSPORT":"journal"`
	byManager = `"_PID":"54","_UID":"1000","_SYSTEMD_UNIT":"user@1000.service","_TRANSPORT":"journal"`
	// A container of root's, in whose name conmon writes.
	byConmon = `"_PID":"901","_UID":"0","_SYSTEMD_UNIT":"libpod-conmon-0123.scope","_TRANSPORT":"journal"`
)

func TestAnEntryMeansWhatItsSenderMaySay(t *testing.T) {
	const other = `"MESSAGE_ID":"` + recover.IDUnitStopped + `",`
	for name, c := range map[string]struct {
		entry string
		want  bool
	}{
		"journald ends":                           {`"MESSAGE_ID":"` + recover.IDJournalStop + `",` + byDriver, true},
		"a user says that journald ends":          {`"MESSAGE_ID":"` + recover.IDJournalStop + `",` + byUser, false},
		"so does a container's output":            {`"MESSAGE_ID":"` + recover.IDJournalStop + `",` + byConmon, false},
		"logind shuts down":                       {`"MESSAGE_ID":"` + recover.IDShutdown + `",` + byLogind, true},
		"logind, which was gone by then":          {`"MESSAGE_ID":"` + recover.IDShutdown + `",` + byGone, true},
		"a user says that logind does":            {`"MESSAGE_ID":"` + recover.IDShutdown + `",` + byUser, false},
		"so does the containers' own user":        {`"MESSAGE_ID":"` + recover.IDShutdown + `",` + byManager, false},
		"PID 1 stops a unit":                      {other + `"UNIT":"basic.target",` + byPID1, true},
		"a user says that it does":                {other + `"UNIT":"basic.target",` + byUser, false},
		"so does the user's manager":              {other + `"UNIT":"multi-user.target",` + byManager, false},
		"the user's manager stops its own":        {other + `"USER_UNIT":"app.service",` + byManager, true},
		"another user says that it does":          {other + `"USER_UNIT":"app.service",` + byUser, false},
		"the user's manager, of both":             {other + `"UNIT":"x.service","USER_UNIT":"app.service",` + byManager, false},
		"a field of journald's, sent by somebody": {other + `"UNIT":"basic.target","PID":"1","_UID":"1001"`, false},
	} {
		t.Run(name, func(t *testing.T) {
			entries, _, err := parse(strings.NewReader("{"+c.entry+"}"), 1000, all)
			if err != nil || len(entries) != 1 {
				t.Fatal(entries, err)
			}
			if got := entries[0].ID != ""; got != c.want {
				t.Errorf("it is believed: %t, want %t", got, c.want)
			}
		})
	}
}

// The power fails; before that, or after it, somebody writes what would make
// another cause of it.
func TestForgedEntriesChangeNoCause(t *testing.T) {
	const panicked = `"SYSLOG_IDENTIFIER":"systemd-pstore","MESSAGE":"PStore dmesg-efi-1 moved to /var/lib/systemd/pstore/1","FILE":"Kernel panic - not syncing: x",`
	const stopped = `"MESSAGE_ID":"` + recover.IDJournalStop + `","MESSAGE":"Journal stopped",`
	letGo := func(by string) string {
		return `{"MESSAGE_ID":"` + recover.IDUnitStopped + `","UNIT":"basic.target",` + by + `}` + "\n" +
			`{"MESSAGE_ID":"` + recover.IDUnitStopped + `","UNIT":"systemd-journal-flush.service",` + by + `}`
	}
	for name, c := range map[string]struct {
		tail, later string
		want        recover.Cause
	}{
		"nobody":                              {``, ``, recover.CausePowerLoss},
		"journald, that it ends":              {`{` + stopped + byDriver + `}`, ``, recover.CauseShutdown},
		"a user, that journald ends":          {`{` + stopped + byUser + `}`, ``, recover.CausePowerLoss},
		"PID 1, that it lets go of /var":      {letGo(byPID1), ``, recover.CauseShutdown},
		"a user, that PID 1 does":             {letGo(byUser), ``, recover.CausePowerLoss},
		"the containers' user, that it does":  {letGo(byManager), ``, recover.CausePowerLoss},
		"a user, that memory ran out":         {`{"MESSAGE_ID":"fe6faa94e7774663a0da52717891d8ef","UNIT":"x.service",` + byUser + `}`, ``, recover.CausePowerLoss},
		"a user, in the kernel's words":       {`{"SYSLOG_IDENTIFIER":"kernel","MESSAGE":"Kernel panic - not syncing: x",` + byUser + `}`, ``, recover.CausePowerLoss},
		"the kernel, of a user's mount":       {`{"MESSAGE":"overlayfs: '/tmp/Kernel panic - not syncing: x' is no good","_TRANSPORT":"kernel"}`, ``, recover.CausePowerLoss},
		"systemd-pstore, of a panic":          {``, `{` + panicked + byPstore + `}`, recover.CausePanic},
		"systemd-pstore, which is gone":       {``, `{` + panicked + byGone + `}`, recover.CausePanic},
		"a container called systemd-pstore":   {``, `{` + panicked + byConmon + `}`, recover.CausePowerLoss},
		"the kernel, of the watchdog's reset": {``, `{"MESSAGE":"wdt: last reset by watchdog","_TRANSPORT":"kernel"}`, recover.CauseWatchdog},
	} {
		t.Run(name, func(t *testing.T) {
			const last = `{"MESSAGE":"the last word","__CURSOR":"c"}`
			tail := c.tail
			if !strings.Contains(c.tail, byDriver) {
				tail += "\n" + last
			}
			r := journalctl(t, "case \"$*\" in *_TRANSPORT=kernel*) cat <<'E'\n"+c.later+"\nE\n;; *) cat <<'E'\n"+tail+"\nE\n;; esac")
			r.uid = 1000
			end, err := r.BootEnd(t.Context(), "a", "b")
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := recover.ExplainHost(end); got != c.want {
				t.Errorf("cause %s, want %s", got, c.want)
			}
		})
	}
}

// What a container's own output, or another user, says of containers, units and
// shutdowns is not replayed.
func TestForgedEventsAreNotReplayed(t *testing.T) {
	set := []recover.Container{{Name: "a", Unit: "a.service"}, {Name: "plain"}}
	for name, entries := range map[string]string{
		"a stop, after which ends count": `{"MESSAGE_ID":"` + recover.IDUnitStopped + `","USER_UNIT":"a.service",` + byUser + `}`,
		"a shutdown, after which ends of others do not": `{"MESSAGE_ID":"` + recover.IDShutdown + `",` + byUser + `}` + "\n" +
			`{"MESSAGE_ID":"` + recover.IDUnitStopped + `","USER_UNIT":"a.service",` + byManager + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			parsed, _, err := parse(strings.NewReader(strings.ReplaceAll(entries, "{", `{"__MONOTONIC_TIMESTAMP":"5",`)), 1000, all)
			if err != nil {
				t.Fatal(err)
			}
			left := len(recover.Replay(set, parsed))
			if want := 2 - strings.Count(entries, byManager); left != want {
				t.Errorf("%d are in the set, want %d", left, want)
			}
		})
	}
}
