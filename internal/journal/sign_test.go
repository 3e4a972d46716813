package journal

import (
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

func TestRecordedBoots(t *testing.T) {
	clean, cut := recorded(t, "clean-shutdown"), recorded(t, "power-loss")
	kernel := func(text string) entry { return entry{Entry: recover.Entry{Message: text}, kernel: true} }
	says := func(text string) entry { return entry{Entry: recover.Entry{Message: text}} }
	with := func(last ...entry) []entry { return slices.Concat(cut, last) }
	const killed = "Out of memory: Killed process 812 (bitcoind) total-vm:9000000kB"
	final := cut[len(cut)-1].monotonic
	atEnd, before := kernel(killed), kernel(killed)
	atEnd.monotonic, before.monotonic = final, final-time.Hour
	const panics = "Kernel panic - not syncing: "
	for name, c := range map[string]struct {
		tail, next, records []entry
		want                recover.Cause
	}{
		"journal just stops":         {tail: cut, want: recover.CausePowerLoss},
		"journald ended":             {tail: clean, want: recover.CauseShutdown},
		"journal released early":     {tail: recorded(t, "clean-shutdown-let-go"), want: recover.CauseShutdown},
		"journal flush restarted":    {tail: recorded(t, "power-loss-after-flush"), want: recover.CausePowerLoss},
		"clock jumped back":          {tail: recorded(t, "clean-shutdown-clock-inside"), want: recover.CauseShutdown},
		"three entries":              {tail: recorded(t, "three-entries"), want: recover.CausePowerLoss},
		"power cut late in shutdown": {tail: upTo(t, clean, "local-fs.target"), want: recover.CausePowerLoss},
		"power cut early in shutdown": {
			tail: upTo(t, clean, "basic.target"), want: recover.CausePowerLoss},
		"no journal": {want: recover.CauseUnknown},
		"panic": {
			tail: with(kernel(panics + "Fatal exception in interrupt")), want: recover.CausePanic},
		"panic out of memory": {
			tail: with(kernel(panics+"System is deadlocked on memory"),
				kernel(panics+"Out of memory: compulsory panic_on_oom is enabled")), want: recover.CauseOOM},
		"panic of the lockup detector": {
			tail: with(kernel(panics + "softlockup: hung tasks")), want: recover.CauseWatchdog},
		"panic in a program's words": {
			tail: with(says(panics + "a joke")), want: recover.CausePowerLoss},
		"crash record": {
			tail:    cut,
			records: []entry{says("PStore dmesg-efi-1 moved to /var/lib/systemd/pstore/1/dmesg.txt")},
			want:    recover.CausePanic},
		"recorded crash record":               {tail: cut, records: recorded(t, "panic"), want: recover.CausePanic},
		"recorded crash record out of memory": {tail: cut, records: recorded(t, "panic-oom"), want: recover.CauseOOM},
		"recorded crash record of softdog, without a journal": {
			records: recorded(t, "softdog"), want: recover.CauseWatchdog},
		"console record": {
			tail:    cut,
			records: []entry{says("PStore console-ramoops-0 moved to /var/lib/systemd/pstore/1")},
			want:    recover.CausePowerLoss},
		"watchdog reset": {
			tail: cut, next: []entry{kernel("sp5100-tco: Last reboot was triggered by watchdog.")},
			want: recover.CauseWatchdog},
		"watchdog present": {
			tail: cut, next: []entry{kernel("iTCO_wdt: initialized. heartbeat=30 sec (nowayout=0)")},
			want: recover.CausePowerLoss},
		"out of memory at the end":   {tail: with(atEnd), want: recover.CauseOOM},
		"out of memory long before":  {tail: slices.Concat([]entry{before}, cut), want: recover.CausePowerLoss},
		"last entry without a field": {tail: with(entry{Entry: recover.Entry{Cursor: "c"}}), want: recover.CausePowerLoss},
	} {
		t.Run(name, func(t *testing.T) {
			got, evidence := recover.ExplainHost(recover.BootEnd{
				Tail: signsOf(c.tail, signOf), Next: signsOf(c.next, signOf), Records: signsOf(c.records, recordOf)})
			if got != c.want {
				t.Errorf("cause %s, want %s", got, c.want)
			}
			if got != recover.CauseUnknown && (len(evidence) == 0 || evidence[len(evidence)-1].Message == "") {
				t.Errorf("the evidence is %+v", evidence)
			}
		})
	}
}

// upTo returns the entries up to the one in which PID 1 says that unit stopped.
func upTo(t *testing.T, entries []entry, unit string) []entry {
	t.Helper()
	for i, e := range entries {
		if e.fields["UNIT"] == unit && strings.HasPrefix(e.Message, "Stopped") {
			return entries[: i+1 : i+1]
		}
	}
	t.Fatalf("the recording does not mention %q", unit)
	return nil
}

func TestRecordedServices(t *testing.T) {
	for name, want := range map[string]recover.Cause{
		"service-signal":   recover.CauseSignal,
		"service-exit":     recover.CauseExit,
		"service-watchdog": recover.CauseWatchdog,
		// The service was killed in the first boot and cut off in the second, which has
		// the same ID. The journal does not tell the last end, and the one before it
		// must not be taken for it.
		"repeated-boot-id": recover.CauseUnknown,
		"service-oom":      recover.CauseOOM,
	} {
		t.Run(name, func(t *testing.T) {
			// As ServiceEnd does, leave out the run that asks, which is the last one. The
			// recording of service-oom has no invocation IDs.
			entries := recorded(t, name)
			us := entries[len(entries)-1].fields["INVOCATION_ID"]
			entries = slices.DeleteFunc(entries, func(e entry) bool { return us != "" && e.fields["INVOCATION_ID"] == us })
			got, evidence := recover.ExplainService(signsOf(entries, signOf))
			if got != want || (len(evidence) == 0) != (want == recover.CauseUnknown) {
				t.Errorf("cause %s with %d entries of evidence, want %s", got, len(evidence), want)
			}
		})
	}
}

func TestSigns(t *testing.T) {
	fields := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	for name, c := range map[string]struct {
		entry entry
		want  recover.Sign
	}{
		"nothing": {entry{}, recover.Sign{}},
		"reboot asked for": {
			entry{id: idShutdown, fields: fields("SHUTDOWN", "reboot")}, recover.Sign{Kind: recover.SignShutdownAsked}},
		"kexec asked for": {
			entry{id: idShutdown, fields: fields("SHUTDOWN", "kexec")},
			recover.Sign{Kind: recover.SignShutdownAsked, Cause: recover.CauseKexec}},
		"soft-reboot.target reached": {
			entry{id: idUnitStarted, fields: fields("UNIT", "soft-reboot.target")},
			recover.Sign{Kind: recover.SignUnitStarted, Cause: recover.CauseSoftBoot}},
		"unit started": {
			entry{id: idUnitStarted, fields: fields("UNIT", "a.service")}, recover.Sign{Kind: recover.SignUnitStarted}},
		"unit stopped": {entry{id: idUnitStopped, fields: fields("UNIT", "a.service")}, recover.Sign{}},
		"services stopped": {
			entry{id: idUnitStopped, fields: fields("UNIT", basic)}, recover.Sign{Kind: recover.SignServicesStopped}},
		"services stopping": {entry{id: idUnitStopping, fields: fields("UNIT", basic)}, recover.Sign{}},
		"journal released": {
			entry{id: idUnitStopping, fields: fields("UNIT", journalFlush)},
			recover.Sign{Kind: recover.SignJournalReleased}},
		"unit result": {
			entry{id: idUnitResult, fields: fields("UNIT_RESULT", "start-limit-hit")},
			recover.Sign{Kind: recover.SignUnitResult, Cause: recover.CauseStartLimit}},
		"unit result that names no cause": {
			entry{id: idUnitResult, fields: fields("UNIT_RESULT", "protocol")}, recover.Sign{Kind: recover.SignUnitResult}},
		"process exit": {
			entry{id: idProcessExit, fields: fields("EXIT_CODE", "killed", "EXIT_STATUS", "9")},
			recover.Sign{Kind: recover.SignProcessExit, Cause: recover.CauseSignal, Exit: "killed 9"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, signOf(c.entry)); diff != "" {
				t.Errorf("sign (-want +got):\n%s", diff)
			}
		})
	}
}

// The tail of a boot names the containers that podman, run by our user, had started.
func TestStartsInTail(t *testing.T) {
	start := func(name string, more ...string) string {
		return object(append([]string{`"PODMAN_EVENT":"start"`, `"PODMAN_NAME":"` + name + `"`}, more...)...)
	}
	r := journalctl(t, forKernel("", prints(strings.Join([]string{
		start("web", `"_UID":"1000"`, `"__MONOTONIC_TIMESTAMP":"5"`),
		start("forged", `"_UID":"1001"`),
		start("pod-infra", `"_UID":"1000"`, `"PODMAN_POD_ID":"1"`),
		object(`"PODMAN_EVENT":"died"`, `"PODMAN_NAME":"dead"`, `"_UID":"1000"`),
	}, "\n"))))
	r.uid = 1000
	end, err := r.BootEnd(t.Context(), "a", "b")
	var got []string
	for _, s := range end.Tail {
		got = append(got, s.Started)
	}
	if diff := cmp.Diff([]string{"web", "", "", ""}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
