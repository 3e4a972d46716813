package journal

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// recorded reads a journal that a machine test recorded (ARCHY_RECORD).
func recorded(t *testing.T, name string) []recover.Entry {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entries, _, err := parse(f, 0, all)
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	return entries
}

func TestRecordedBoots(t *testing.T) {
	clean, cut := recorded(t, "clean-shutdown"), recorded(t, "power-loss")
	kernel := func(text string) recover.Entry { return recover.Entry{Kernel: true, Message: text} }
	for name, c := range map[string]struct {
		end  recover.BootEnd
		want recover.Cause
	}{
		"a journal that just stops is a power loss":   {recover.BootEnd{Tail: cut}, recover.CausePowerLoss},
		"one that journald ended is a clean shutdown": {recover.BootEnd{Tail: clean}, recover.CauseShutdown},
		"one that was let go of early, being on a file system of its own, too": {
			recover.BootEnd{Tail: recorded(t, "clean-shutdown-let-go")}, recover.CauseShutdown},
		"one that was let go of and taken up again just stops": {
			recover.BootEnd{Tail: recorded(t, "power-loss-after-flush")}, recover.CausePowerLoss},
		"a clock that jumped back changes nothing": {
			recover.BootEnd{Tail: recorded(t, "clean-shutdown-clock-inside")}, recover.CauseShutdown},
		"three entries are enough": {recover.BootEnd{Tail: recorded(t, "three-entries")}, recover.CausePowerLoss},
		"a shutdown that was cut when it had stopped nearly all is a power loss": {
			recover.BootEnd{Tail: upTo(t, clean, "local-fs.target")}, recover.CausePowerLoss},
		"one that had only begun is, too": {
			recover.BootEnd{Tail: upTo(t, clean, "basic.target")}, recover.CausePowerLoss},
		"no journal is unknown": {recover.BootEnd{}, recover.CauseUnknown},
		"panic lines that reached the journal are a panic": {
			recover.BootEnd{Tail: append(cut[:len(cut):len(cut)], kernel("Kernel panic - not syncing: Fatal exception in interrupt"))}, recover.CausePanic},
		"a panic for want of memory is that": {
			recover.BootEnd{Tail: append(cut[:len(cut):len(cut)], kernel("Kernel panic - not syncing: System is deadlocked on memory"),
				kernel("Kernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled"))}, recover.CauseOOM},
		"a panic of the lockup detector is the watchdog": {
			recover.BootEnd{Tail: append(cut[:len(cut):len(cut)], kernel("Kernel panic - not syncing: softlockup: hung tasks"))}, recover.CauseWatchdog},
		"a program that speaks of panic is none": {
			recover.BootEnd{Tail: append(cut[:len(cut):len(cut)], recover.Entry{Message: "Kernel panic - not syncing: a joke"})}, recover.CausePowerLoss},
		"a record that the firmware kept is a panic": {
			recover.BootEnd{Tail: cut, Records: []recover.Entry{{Message: "PStore dmesg-efi-1 moved to /var/lib/systemd/pstore/1/dmesg.txt"}}}, recover.CausePanic},
		"so is one that the machine kept; its record says so": {
			recover.BootEnd{Tail: cut, Records: recorded(t, "panic")}, recover.CausePanic},
		"one for want of memory is that": {
			recover.BootEnd{Tail: cut, Records: recorded(t, "panic-oom")}, recover.CauseOOM},
		"one of the software watchdog is that, though nothing of the journal is left": {
			recover.BootEnd{Records: recorded(t, "softdog")}, recover.CauseWatchdog},
		"the console that it kept is not": {
			recover.BootEnd{Tail: cut, Records: []recover.Entry{{Message: "PStore console-ramoops-0 moved to /var/lib/systemd/pstore/1"}}}, recover.CausePowerLoss},
		"a watchdog that says it reset the host did": {
			recover.BootEnd{Tail: cut, Next: []recover.Entry{kernel("sp5100-tco: Last reboot was triggered by watchdog.")}}, recover.CauseWatchdog},
		"one that only says hello did not": {
			recover.BootEnd{Tail: cut, Next: []recover.Entry{kernel("iTCO_wdt: initialized. heartbeat=30 sec (nowayout=0)")}}, recover.CausePowerLoss},
		"killing for memory at the very end is out of memory": {
			recover.BootEnd{Tail: append(cut[:len(cut):len(cut)], recover.Entry{Kernel: true, Monotonic: cut[len(cut)-1].Monotonic,
				Message: "Out of memory: Killed process 812 (bitcoind) total-vm:9000000kB"})}, recover.CauseOOM},
		"long before it is not": {
			recover.BootEnd{Tail: append([]recover.Entry{{Kernel: true, Monotonic: cut[len(cut)-1].Monotonic - time.Hour,
				Message: "Out of memory: Killed process 812 (bitcoind) total-vm:9000000kB"}}, cut...)}, recover.CausePowerLoss},
		"the last entry lost its fields": {
			recover.BootEnd{Tail: append(slices.Clone(cut), recover.Entry{Cursor: "c"})}, recover.CausePowerLoss},
	} {
		t.Run(name, func(t *testing.T) {
			got, evidence := recover.ExplainHost(c.end)
			if got != c.want {
				t.Errorf("cause %s, want %s", got, c.want)
			}
			if got != recover.CauseUnknown && (len(evidence) == 0 || evidence[len(evidence)-1].Message == "") {
				t.Errorf("the evidence is %+v", evidence)
			}
		})
	}
}

func all(recover.Entry) taking { return take }

// upTo cuts a journal after what PID 1 says of unit's stop.
func upTo(t *testing.T, entries []recover.Entry, unit string) []recover.Entry {
	t.Helper()
	for i, e := range entries {
		if e.Fields["UNIT"] == unit && strings.HasPrefix(e.Message, "Stopped") {
			return entries[: i+1 : i+1]
		}
	}
	t.Fatalf("nothing of %q in the recording", unit)
	return nil
}

func TestRecordedServices(t *testing.T) {
	for name, want := range map[string]recover.Cause{
		"service-signal":   recover.CauseSignal,
		"service-exit":     recover.CauseExit,
		"service-watchdog": recover.CauseWatchdog,
		// Killed in the boot before, cut off in this one, which has the same ID:
		// of the last end nothing is told, and the one before is not taken for it.
		"repeated-boot-id": recover.CauseUnknown,
		"service-oom":      recover.CauseOOM,
	} {
		t.Run(name, func(t *testing.T) {
			// As ServiceEnd has it: without the run that asks, the last one.
			entries := recorded(t, name)
			// (The machine that ran out of memory was recorded without these IDs.)
			us := entries[len(entries)-1].Fields["INVOCATION_ID"]
			entries = slices.DeleteFunc(entries, func(e recover.Entry) bool { return us != "" && e.Fields["INVOCATION_ID"] == us })
			got, evidence := recover.ExplainService(entries)
			if got != want || (len(evidence) == 0) != (want == recover.CauseUnknown) {
				t.Errorf("cause %s with %d entries of evidence, want %s", got, len(evidence), want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []recover.Entry
	}{
		"nothing": {"", nil},
		"an entry": {
			`{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1795389965655252","__MONOTONIC_TIMESTAMP":"2000000","MESSAGE":"hello","MESSAGE_ID":"abc","_PID":"1","_TRANSPORT":"kernel","UNIT":"a.service"}`,
			[]recover.Entry{{Cursor: "s=1", Time: time.UnixMicro(1795389965655252), Monotonic: 2 * time.Second, Message: "hello", ID: "abc",
				PID: 1, Kernel: true, Fields: map[string]string{"UNIT": "a.service", "_TRANSPORT": "kernel"}}}},
		"a line that is damaged is lost, and no more": {
			"{\"MESSAGE\":\"one\"}\n{\"MESS\n\x00\x00\n{\"MESSAGE\":\"two\"}\n",
			[]recover.Entry{{Message: "one", Fields: map[string]string{}}, {Message: "two", Fields: map[string]string{}}}},
		"a field that was too long": {`{"MESSAGE":null}`, []recover.Entry{{Fields: map[string]string{}}}},
		"a field that is not UTF-8": {`{"MESSAGE":[104,105,255]}`, []recover.Entry{{Message: "hi\uFFFD", Fields: map[string]string{}}}},
		"a field with two values":   {`{"MESSAGE":["one","two"]}`, []recover.Entry{{Message: "two", Fields: map[string]string{}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := parse(strings.NewReader(c.text), 0, all)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

// journalctl that prints what a script says, instead of the real one.
func journalctl(t *testing.T, script string) *Reader {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "journalctl"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	r := NewReader("archy-recovery.service", 0)
	r.watchdogs, r.limit = t.TempDir(), 2*time.Second
	return r
}

func TestAJournalctlThatMisbehavesIsAnErrorAndBounded(t *testing.T) {
	for name, script := range map[string]string{
		"fails":            "echo 'No journal files were found.' >&2; exit 1",
		"hangs":            "exec sleep 60",
		"floods":           "exec yes '{\"MESSAGE\":\"x\"}'",
		"one endless line": "exec tr '\\000' x </dev/zero",
		"dies":             "kill -BUS $$",
	} {
		t.Run(name, func(t *testing.T) {
			r := journalctl(t, script)
			began := time.Now()
			if _, err := r.ServiceEnd(context.Background(), "b"); err == nil {
				t.Error("no error")
			}
			if took := time.Since(began); took > r.limit+2*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	t.Run("is not there", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		if _, err := NewReader("x.service", 0).ServiceEnd(context.Background(), "b"); err == nil {
			t.Error("no error")
		}
	})
}

func TestBoots(t *testing.T) {
	list := func(name string) string {
		text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, c := range map[string]struct {
		list string
		want []Boot
		bad  bool
	}{
		"two boots": {`[{"index":-1,"boot_id":"aa","first_entry":1000000,"last_entry":2000000},{"index":0,"boot_id":"bb","first_entry":3000000,"last_entry":4000000}]`,
			[]Boot{{Index: -1, BootID: "aa", First: time.UnixMicro(1000000), Last: time.UnixMicro(2000000), Cause: recover.CausePowerLoss},
				{Index: 0, BootID: "bb", First: time.UnixMicro(3000000), Last: time.UnixMicro(4000000)}}, false},
		"a clock that jumped back": {`[{"index":-1,"boot_id":"aa","first_entry":9000000,"last_entry":8000000}]`,
			[]Boot{{Index: -1, BootID: "aa", First: time.UnixMicro(9000000), Last: time.UnixMicro(8000000), Cause: recover.CausePowerLoss}}, false},
		"a recorded one of a clock that jumped back between boots and inside one": {list("boots-clock"), []Boot{
			{Index: -3, BootID: "242f6776006b4f21a9a45c8ba0b58793", First: time.UnixMicro(1795397105882146), Last: time.UnixMicro(1795397108210787), Cause: recover.CausePowerLoss},
			{Index: -2, BootID: "b36bbc1d52054bf586610e5df209c3dd", First: time.UnixMicro(1795397108942283), Last: time.UnixMicro(1795397110519306), Cause: recover.CausePowerLoss},
			{Index: -1, BootID: "b459da712246479eb850b4a4952a2549", First: time.UnixMicro(1795197111078156), Last: time.UnixMicro(1794897112440691), Cause: recover.CausePowerLoss},
			{Index: 0, BootID: "1e11cb62248945fda50998ca799690b2", First: time.UnixMicro(1794897112865764), Last: time.UnixMicro(1794897113811571)}}, false},
		"a recorded one of two boots with the same ID": {list("boots-repeated"), []Boot{
			{Index: -1, BootID: "b9abdea57d4d42bc9edc0204a675ab2a", First: time.UnixMicro(1795397166215743), Last: time.UnixMicro(1795397168394471), Cause: recover.CausePowerLoss},
			{Index: 0, BootID: "11111111222243338444555555555555", First: time.UnixMicro(1795397169196794), Last: time.UnixMicro(1795397174568917)}}, false},
		"a recorded one of a boot with three entries": {list("boots-three-entries"), []Boot{
			{Index: -1, BootID: "8b7596f3da694fd6b538da0b21d297b7", First: time.UnixMicro(1795397171633855), Last: time.UnixMicro(1795397171714841), Cause: recover.CausePowerLoss},
			{Index: 0, BootID: "8117908127d74a80abe11d8b8add19e2", First: time.UnixMicro(1795397172587053), Last: time.UnixMicro(1795397173827122)}}, false},
		"none":         {`[]`, []Boot{}, false},
		"no such list": {`-1 aa Mon 2026-11-22`, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := journalctl(t, `case "$*" in *list-boots*) echo '`+c.list+`';; *) echo '{"MESSAGE":"last words","__CURSOR":"c"}';; esac`)
			got, err := r.Boots(t.Context(), 10)
			if (err != nil) != c.bad {
				t.Fatal(err)
			}
			for i := range got {
				if got[i].Cause != "" && len(got[i].Evidence) == 0 {
					t.Error("no evidence")
				}
				got[i].Evidence = nil
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("boots (-want +got):\n%s", diff)
			}
		})
	}
}

// What is read of a boot's events tells a replay as much as all of them, and
// less of what timers do.
func TestEventsAreThinnedOutWithoutLoss(t *testing.T) {
	set := []recover.Container{{Name: "a", Unit: "a.service"}, {Name: "plain"}}
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOf(rapid.Custom(event)).Draw(t, "events")
		for i := range events {
			events[i].Monotonic = time.Duration(i + 1)
		}
		since := time.Duration(rapid.IntRange(0, len(events)).Draw(t, "since"))
		var read []recover.Entry
		some := eventsSince(since)
		for _, e := range slices.Backward(events) {
			if what := some(e); what == stop {
				break
			} else if what == take {
				read = append(read, e)
			}
		}
		slices.Reverse(read)
		if diff := cmp.Diff(recover.Replay(set, events[since:]), recover.Replay(set, read)); diff != "" {
			t.Errorf("the set by all events (-) and by those that are read (+):\n%s", diff)
		}
	})
}

// A user's manager that is stopped is the end of what it runs. To the host's it
// is a unit like others.
func TestOnlyTheirOwnUsersManagerEndsContainers(t *testing.T) {
	r := journalctl(t, `echo '{"MESSAGE":"Stopping","MESSAGE_ID":"`+recover.IDUnitStopping+`","UNIT":"user@1000.service","__CURSOR":"c","__MONOTONIC_TIMESTAMP":"9",`+byPID1+`}'`)
	for uid, want := range map[int]int{0: 0, 1000: 1} {
		r.uid = uid
		if got, err := r.Events(t.Context(), "b", 0); err != nil || len(got) != want {
			t.Errorf("uid %d: %+v, %v", uid, got, err)
		}
	}
}

// event makes one that Events may read.
func event(t *rapid.T) recover.Entry {
	unit := rapid.SampledFrom([]string{"a.service", "a.service", "timer.service", "multi-user.target"}).Draw(t, "unit")
	name := rapid.SampledFrom([]string{"a", "plain"}).Draw(t, "name")
	switch what := rapid.SampledFrom([]string{"start", "died", "remove", "shutdown", "begins", "hostUp", "ends"}).Draw(t, "what"); what {
	case "start", "died", "remove":
		return recover.Entry{Fields: map[string]string{"PODMAN_EVENT": what, "PODMAN_NAME": name, "PODMAN_EXIT_CODE": "1"}}
	case "shutdown":
		return recover.Entry{ID: recover.IDShutdown}
	case "begins": // the user's manager
		return recover.Entry{ID: recover.IDUnitStarted, Fields: map[string]string{"UNIT": "user@0.service"}}
	case "hostUp":
		return recover.Entry{ID: recover.IDUnitStarted, Fields: map[string]string{"UNIT": recover.HostUp}}
	}
	id := rapid.SampledFrom([]string{recover.IDUnitSuccess, recover.IDUnitSuccess, recover.IDUnitResult, recover.IDUnitStopping, recover.IDUnitStopped}).Draw(t, "id")
	job := rapid.SampledFrom([]string{"stop", "restart"}).Draw(t, "job")
	return recover.Entry{ID: id, Fields: map[string]string{"UNIT": unit, "JOB_TYPE": job}}
}

func TestALongBootIsReadNoFurtherThanNeeded(t *testing.T) {
	r := journalctl(t, `case "$*" in *_TRANSPORT=kernel*) exec yes '{"MESSAGE":"x","_TRANSPORT":"kernel"}';; *) echo '{"MESSAGE":"last words"}';; esac`)
	end, err := r.BootEnd(t.Context(), "a", "b")
	if err != nil || len(end.Next) != headLines {
		t.Errorf("read %d lines of the next boot, %v", len(end.Next), err)
	}
}
