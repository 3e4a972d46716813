package recover

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sign(kind SignKind, cause Cause) Sign {
	return Sign{Kind: kind, Cause: cause, Entry: Entry{Message: string(kind)}}
}

func TestExplainHost(t *testing.T) {
	panicked := sign(SignPanic, CauseOOM)
	asked, kexec := sign(SignShutdownAsked, ""), sign(SignShutdownAsked, CauseKexec)
	reached := sign(SignUnitStarted, CauseSoftBoot)
	services, released := sign(SignServicesStopped, ""), sign(SignJournalReleased, "")
	stopped, kill := sign(SignJournalStopped, ""), sign(SignOOMKill, CauseOOM)
	reset := sign(SignWatchdogReset, CauseWatchdog)
	record, namedRecord := sign(SignCrashRecord, ""), sign(SignCrashRecord, CauseWatchdog)
	said, late := Sign{Entry: Entry{Message: "said"}}, Sign{Entry: Entry{Message: "late"}, Monotonic: time.Hour}
	for name, c := range map[string]struct {
		end      BootEnd
		want     Cause
		evidence []Sign
	}{
		"nothing":                     {BootEnd{}, CauseUnknown, nil},
		"journal just stops":          {BootEnd{Tail: []Sign{said, {}}}, CausePowerLoss, []Sign{said}},
		"panic before an orderly end": {BootEnd{Tail: []Sign{panicked, stopped}}, CauseOOM, []Sign{panicked}},
		"orderly end, and a record": {
			BootEnd{Tail: []Sign{stopped}, Records: []Sign{record}}, CauseShutdown, []Sign{stopped}},
		"shutdown asked for":           {BootEnd{Tail: []Sign{asked, said, stopped}}, CauseShutdown, []Sign{asked, stopped}},
		"kexec asked for":              {BootEnd{Tail: []Sign{kexec, reached, stopped}}, CauseKexec, []Sign{kexec, stopped}},
		"soft-reboot.target":           {BootEnd{Tail: []Sign{reached, stopped}}, CauseSoftBoot, []Sign{stopped}},
		"journal released":             {BootEnd{Tail: []Sign{services, released, said}}, CauseShutdown, []Sign{released}},
		"journal released before that": {BootEnd{Tail: []Sign{released, services, said}}, CausePowerLoss, []Sign{said}},
		"record after a release": {
			BootEnd{Tail: []Sign{services, released}, Records: []Sign{record}}, CausePanic, []Sign{record}},
		"record that names its cause":   {BootEnd{Records: []Sign{namedRecord, record}}, CauseWatchdog, []Sign{namedRecord}},
		"watchdog reset":                {BootEnd{Tail: []Sign{said}, Next: []Sign{reset}}, CauseWatchdog, []Sign{reset}},
		"out of memory":                 {BootEnd{Tail: []Sign{kill, said}}, CauseOOM, []Sign{kill, said}},
		"out of memory long before":     {BootEnd{Tail: []Sign{kill, late}}, CausePowerLoss, []Sign{late}},
		"out of memory, then shut down": {BootEnd{Tail: []Sign{kill, stopped}}, CauseShutdown, []Sign{stopped}},
	} {
		t.Run(name, func(t *testing.T) {
			cause, evidence := ExplainHost(c.end)
			if diff := cmp.Diff(c.evidence, evidence); cause != c.want || diff != "" {
				t.Errorf("cause %s, want %s; evidence (-want +got):\n%s", cause, c.want, diff)
			}
		})
	}
}

func TestExplainService(t *testing.T) {
	started, kill := sign(SignUnitStarted, ""), sign(SignOOMKill, CauseOOM)
	exit, result := sign(SignProcessExit, CauseSignal), sign(SignUnitResult, CauseWatchdog)
	unnamed := sign(SignUnitResult, "") // such as "protocol"
	for name, c := range map[string]struct {
		signs    []Sign
		want     Cause
		evidence []Sign
	}{
		"nothing":                      {nil, CauseUnknown, nil},
		"exit":                         {[]Sign{started, exit}, CauseSignal, []Sign{exit}},
		"result":                       {[]Sign{started, exit, result}, CauseWatchdog, []Sign{exit, result}},
		"result that names no cause":   {[]Sign{started, exit, unnamed}, CauseSignal, []Sign{exit, unnamed}},
		"out of memory":                {[]Sign{started, kill, exit, result}, CauseOOM, []Sign{kill}},
		"out of memory in another run": {[]Sign{kill, started, exit}, CauseSignal, []Sign{exit}},
		"end of the run not told":      {[]Sign{exit, result, started}, CauseUnknown, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cause, evidence := ExplainService(c.signs)
			if diff := cmp.Diff(c.evidence, evidence); cause != c.want || diff != "" {
				t.Errorf("cause %s, want %s; evidence (-want +got):\n%s", cause, c.want, diff)
			}
		})
	}
}

// crashJournal answers with the signs of a service's end.
type crashJournal struct {
	Journal
	signs []Sign
}

func (j crashJournal) ServiceEnd(context.Context, string) ([]Sign, error) { return j.signs, nil }

func TestReasonOfServiceCrash(t *testing.T) {
	exit := sign(SignProcessExit, CauseSignal)
	exit.Exit = "killed 9"
	now := Identity{BootID: "b2"}
	v := Verdict{Ending: ServiceCrashed, Previous: &now, Reason: "r"}
	v = v.Explain(t.Context(), crashJournal{signs: []Sign{exit}}, now)
	if want := "r; the service was killed by a signal (killed 9)"; v.Reason != want || v.Cause != CauseSignal {
		t.Errorf("%s: %q, want %q", v.Cause, v.Reason, want)
	}
	if diff := cmp.Diff([]Entry{exit.Entry}, v.Evidence); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
}

// The verdict has what was started last in the boot that crashed, and how long before its end.
func TestStartedNearEnd(t *testing.T) {
	at := func(second time.Duration, started string) Sign {
		return Sign{Entry: Entry{Message: "x"}, Monotonic: second * time.Second, Started: started}
	}
	end := BootEnd{Tail: []Sign{at(10, "db"), at(95, ""), at(97, "web"), at(100, "")}}
	want := []NearEnd{{"db", 90 * time.Second}, {"web", 3 * time.Second}}
	if diff := cmp.Diff(want, end.started()); diff != "" || (BootEnd{}).started() != nil {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
