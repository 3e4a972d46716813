package journal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

// Every user may write entries to the journal, with any fields but those that begin
// with an underscore. A match on other fields therefore needs one of these too, in
// each alternative.
func TestMatchesUseTrustedFields(t *testing.T) {
	calls := filepath.Join(t.TempDir(), "calls")
	r := journalctl(t, `echo "$@" >>`+calls)
	for _, r.uid = range []int{0, 1000} {
		_, _ = r.Events(t.Context(), "b", 0, []string{"a.service"})
		_, _ = r.EventsOf(t.Context(), "b", 0, []recover.Container{{Name: "a", Unit: "a.service"}})
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
				case strings.HasPrefix(word, "-"), field == "_BOOT_ID": // it says nothing of the sender
				case strings.HasPrefix(field, "_"):
					held = true
				default:
					forgeable = true
				}
			}
			matches++
			if forgeable && !held {
				t.Errorf("any user can write what this matches: %s", alternative)
			}
		}
	}
	if matches < 10 {
		t.Errorf("only %d alternatives were seen in\n%s", matches, text)
	}
}

// What journald records of each sender.
const (
	byPID1    = `"_PID":"1","_UID":"0","_SYSTEMD_UNIT":"init.scope","_TRANSPORT":"journal"`
	byLogind  = `"_PID":"43","_UID":"0","_SYSTEMD_UNIT":"systemd-logind.service","_TRANSPORT":"journal"`
	byPstore  = `"_PID":"77","_UID":"0","_SYSTEMD_UNIT":"systemd-pstore.service","_TRANSPORT":"journal"`
	byGone    = `"_PID":"77","_UID":"0","_TRANSPORT":"journal"` // it ended before journald could find out its unit
	byDriver  = `"_PID":"21","_UID":"0","_SYSTEMD_UNIT":"systemd-journald.service","_TRANSPORT":"driver"`
	byUser    = `"_PID":"900","_UID":"1001","_SYSTEMD_UNIT":"user@1001.service","_TRANSPORT":"journal"`
	byManager = `"_PID":"54","_UID":"1000","_SYSTEMD_UNIT":"user@1000.service","_TRANSPORT":"journal"`
	// conmon writes the output of root's containers.
	byConmon = `"_PID":"901","_UID":"0","_SYSTEMD_UNIT":"libpod-conmon-0123.scope","_TRANSPORT":"journal"`
	byKernel = `"_TRANSPORT":"kernel"`
)

func messageID(id string) string { return `"MESSAGE_ID":"` + id + `"` }

func TestTrustedSenders(t *testing.T) {
	const basicTarget, appService = `"UNIT":"basic.target"`, `"USER_UNIT":"app.service"`
	stopped := func(members ...string) string { return object(append(members, messageID(idUnitStopped))...) }
	for name, c := range map[string]struct {
		entry string
		want  bool
	}{
		"journald stopped, by journald":           {object(messageID(idJournalStopped), byDriver), true},
		"journald stopped, by a user":             {object(messageID(idJournalStopped), byUser), false},
		"journald stopped, by a container":        {object(messageID(idJournalStopped), byConmon), false},
		"shutdown, by logind":                     {object(messageID(idShutdown), byLogind), true},
		"shutdown, by logind without its unit":    {object(messageID(idShutdown), byGone), true},
		"shutdown, by a user":                     {object(messageID(idShutdown), byUser), false},
		"shutdown, by the containers' user":       {object(messageID(idShutdown), byManager), false},
		"unit stopped, by PID 1":                  {stopped(basicTarget, byPID1), true},
		"unit stopped, by a user":                 {stopped(basicTarget, byUser), false},
		"unit stopped, by the user's manager":     {stopped(`"UNIT":"multi-user.target"`, byManager), false},
		"own unit stopped, by the user's manager": {stopped(appService, byManager), true},
		"user's unit stopped, by another user":    {stopped(appService, byUser), false},
		"both units, by the user's manager":       {stopped(`"UNIT":"x.service"`, appService, byManager), false},
		"PID=1, by a user":                        {stopped(basicTarget, `"PID":"1"`, `"_UID":"1001"`), false},
	} {
		t.Run(name, func(t *testing.T) {
			entries, _, err := parseAll(strings.NewReader(c.entry), 1000)
			if err != nil || len(entries) != 1 {
				t.Fatal(entries, err)
			}
			if got := entries[0].id != ""; got != c.want {
				t.Errorf("it is trusted: %t, want %t", got, c.want)
			}
		})
	}
}

// The power fails. Entries before that, or after it, would make another cause of it,
// if their senders were trusted.
func TestForgedCauses(t *testing.T) {
	record := func(by string) string {
		return object(`"SYSLOG_IDENTIFIER":"systemd-pstore"`, `"FILE":"Kernel panic - not syncing: x"`,
			`"MESSAGE":"PStore dmesg-efi-1 moved to /var/lib/systemd/pstore/1"`, by)
	}
	stopped := func(by string) string { return object(messageID(idJournalStopped), `"MESSAGE":"Journal stopped"`, by) }
	released := func(by string) string {
		return object(messageID(idUnitStopped), `"UNIT":"basic.target"`, by) + "\n" +
			object(messageID(idUnitStopped), `"UNIT":"systemd-journal-flush.service"`, by)
	}
	outOfMemory := object(messageID("fe6faa94e7774663a0da52717891d8ef"), `"UNIT":"x.service"`, byUser)
	panicByUser := object(`"SYSLOG_IDENTIFIER":"kernel"`, `"MESSAGE":"Kernel panic - not syncing: x"`, byUser)
	mount := object(`"MESSAGE":"overlayfs: '/tmp/Kernel panic - not syncing: x' is no good"`, byKernel)
	reset := object(`"MESSAGE":"wdt: last reset by watchdog"`, byKernel)
	for name, c := range map[string]struct {
		tail, later string
		want        recover.Cause
	}{
		"none":                                      {``, ``, recover.CausePowerLoss},
		"journald stopped, by journald":             {stopped(byDriver), ``, recover.CauseShutdown},
		"journald stopped, by a user":               {stopped(byUser), ``, recover.CausePowerLoss},
		"journal released, by PID 1":                {released(byPID1), ``, recover.CauseShutdown},
		"journal released, by a user":               {released(byUser), ``, recover.CausePowerLoss},
		"journal released, by the user's manager":   {released(byManager), ``, recover.CausePowerLoss},
		"out of memory, by a user":                  {outOfMemory, ``, recover.CausePowerLoss},
		"panic, by a user":                          {panicByUser, ``, recover.CausePowerLoss},
		"panic in the name of a mount":              {mount, ``, recover.CausePowerLoss},
		"crash record, by systemd-pstore":           {``, record(byPstore), recover.CausePanic},
		"crash record, by pstore without its unit":  {``, record(byGone), recover.CausePanic},
		"crash record, by container systemd-pstore": {``, record(byConmon), recover.CausePowerLoss},
		"watchdog reset, by the kernel":             {``, reset, recover.CauseWatchdog},
	} {
		t.Run(name, func(t *testing.T) {
			tail := c.tail
			if !strings.Contains(c.tail, byDriver) {
				tail += "\n" + object(`"MESSAGE":"the last word"`, `"__CURSOR":"c"`)
			}
			r := journalctl(t, forKernel(prints(c.later), prints(tail)))
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

// Entries about containers, units and shutdowns do not count if another user or a
// container wrote them.
func TestForgedEvents(t *testing.T) {
	set := []recover.Container{{Name: "a", Unit: "a.service"}, {Name: "plain"}}
	stopped := func(by string) string {
		return object(`"__MONOTONIC_TIMESTAMP":"5"`, messageID(idUnitStopped), `"USER_UNIT":"a.service"`, by)
	}
	shutdown := object(`"__MONOTONIC_TIMESTAMP":"5"`, messageID(idShutdown), byUser)
	for name, entries := range map[string]string{
		"stop by another user":                  stopped(byUser),
		"shutdown by another user, then a stop": shutdown + "\n" + stopped(byManager),
	} {
		t.Run(name, func(t *testing.T) {
			parsed, _, err := parseAll(strings.NewReader(entries), 1000)
			if err != nil {
				t.Fatal(err)
			}
			left := len(recover.Replay(set, eventsOf(parsed, 1000)))
			if want := 2 - strings.Count(entries, byManager); left != want {
				t.Errorf("%d are in the set, want %d", left, want)
			}
		})
	}
}
