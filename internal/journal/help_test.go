package journal

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parseAll returns each entry that parse finds.
func parseAll(in io.Reader, uid int) (entries []entry, whole bool, err error) {
	whole, err = parse(in, uid, func(e entry) bool {
		entries = append(entries, e)
		return true
	})
	return entries, whole, err
}

// recorded returns the entries of a journal that a machine test recorded with
// ARCHY_RECORD.
func recorded(t *testing.T, name string) []entry {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entries, _, err := parseAll(f, 0)
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	return entries
}

// signsOf applies signOf, or recordOf, to each entry.
func signsOf(entries []entry, of func(entry) recover.Sign) (signs []recover.Sign) {
	for _, e := range entries {
		signs = append(signs, of(e))
	}
	return signs
}

// eventsOf returns the events that entries tell of.
func eventsOf(entries []entry, uid int) (events []recover.HostEvent) {
	for _, e := range entries {
		if event := eventOf(e, uid); event != nil {
			events = append(events, event)
		}
	}
	return events
}

// journalctl returns a Reader that runs a shell script in place of journalctl.
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

// object returns a JSON object of members, as journalctl prints an entry.
func object(members ...string) string { return "{" + strings.Join(members, ",") + "}" }

// prints returns a shell command that prints text.
func prints(text string) string { return "cat <<'E'\n" + text + "\nE\n" }

// forKernel returns a script that runs one command where the kernel's messages are
// asked for, and another one otherwise.
func forKernel(kernel, other string) string {
	return `case "$*" in *_TRANSPORT=kernel*) ` + kernel + "\n;; *) " + other + "\n;; esac"
}
