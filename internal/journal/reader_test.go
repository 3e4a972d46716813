package journal

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

// recorded reads a journal that a machine test recorded (ARCHY_RECORD).
func recorded(t *testing.T, name string) []recover.Entry {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entries, _, err := parse(f, nil)
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
		"one that was let go of early, too, though its end is lost": {
			// With /var on a mount of its own; made up, since the test machine has no second disk.
			recover.BootEnd{Tail: append(upTo(t, clean, "local-fs.target"), recover.Entry{ID: "9d1aaa27d60140bd96365438aad20286", PID: 1,
				Message: "Stopped systemd-journal-flush.service", Fields: map[string]string{"UNIT": "systemd-journal-flush.service"}})}, recover.CauseShutdown},
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
	} {
		t.Run(name, func(t *testing.T) {
			got, evidence := recover.ExplainHost(c.end)
			if got != c.want {
				t.Errorf("cause %s, want %s", got, c.want)
			}
			if got != recover.CauseUnknown && len(evidence) == 0 {
				t.Error("no evidence")
			}
		})
	}
}

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
		"service-oom":      recover.CauseOOM,
	} {
		t.Run(name, func(t *testing.T) {
			got, evidence := recover.ExplainService(recorded(t, name))
			if got != want || len(evidence) == 0 {
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
			`{"__CURSOR":"s=1","__REALTIME_TIMESTAMP":"1795389965655252","__MONOTONIC_TIMESTAMP":"2000000","MESSAGE":"hello","MESSAGE_ID":"abc","_PID":"7","_TRANSPORT":"kernel","SYSLOG_IDENTIFIER":"k","UNIT":"a.service"}`,
			[]recover.Entry{{Cursor: "s=1", Time: time.UnixMicro(1795389965655252), Monotonic: 2 * time.Second, Message: "hello", ID: "abc",
				PID: 7, Kernel: true, Source: "k", Fields: map[string]string{"UNIT": "a.service"}}}},
		"a line that is damaged is lost, and no more": {
			"{\"MESSAGE\":\"one\"}\n{\"MESS\n\x00\x00\n{\"MESSAGE\":\"two\"}\n",
			[]recover.Entry{{Message: "one", Fields: map[string]string{}}, {Message: "two", Fields: map[string]string{}}}},
		"a field that was too long": {`{"MESSAGE":null}`, []recover.Entry{{Fields: map[string]string{}}}},
		"a field that is not UTF-8": {`{"MESSAGE":[104,105,255]}`, []recover.Entry{{Message: "hi\uFFFD", Fields: map[string]string{}}}},
		"a field with two values":   {`{"MESSAGE":["one","two"]}`, []recover.Entry{{Message: "two", Fields: map[string]string{}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := parse(strings.NewReader(c.text), nil)
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
