// Package journal reads the systemd journal. It turns the words of podman, systemd
// and the kernel into the events and signs of package recover.
package journal

import (
	"context"
	"io"
	"os"
	"strconv"
	"time"

	"archy-recovery/internal/recover"

	"golang.org/x/sys/unix"
)

// Reader reads the journal through journalctl -o json, its documented interface. A
// power failure can damage the files of the journal, and a damaged file can kill the
// process that reads it. So another process than the daemon reads it. Reader
// implements recover.Journal.
type Reader struct {
	unit       string // the service of the instance
	uid        int    // the user who runs the containers
	invocation string // of this run of the unit (systemd.exec(5)); empty if run by hand
	watchdogs  string // sysWatchdogs, except in tests
	root       string // "/", except in tests
	limit      time.Duration
}

// NewReader returns a Reader of this machine's journal, for the instance whose
// service is unit and whose containers uid runs.
func NewReader(unit string, uid int) *Reader {
	return &Reader{
		unit:       unit,
		uid:        uid,
		invocation: os.Getenv("INVOCATION_ID"),
		watchdogs:  sysWatchdogs,
		root:       "/",
		limit:      readTime,
	}
}

// each runs journalctl with args and gives each entry to visit, in journalctl's
// order, until visit returns false. Of a damaged journal it gives what journalctl
// can read, which can be nothing. A journal that cannot be read in time is an error.
func (r *Reader) each(ctx context.Context, visit func(entry) bool, args ...string) error {
	return r.eachWith(ctx, fields, visit, args...)
}

// eachWith is each with other fields.
func (r *Reader) eachWith(ctx context.Context, fields string, visit func(entry) bool, args ...string) error {
	return run(ctx, r.limit, withFields(fields, args), func(out io.Reader) (whole bool, err error) {
		return parse(out, r.uid, visit)
	})
}

// withFields adds arguments of journalctl(1): it prints these fields, as JSON.
func withFields(fields string, args []string) []string {
	return append([]string{"--output=json", "--output-fields=" + fields}, args...)
}

// Last returns the last n entries of our service in this boot, oldest first.
func (r *Reader) Last(ctx context.Context, n int) ([]recover.Entry, error) {
	var entries []recover.Entry
	err := r.each(ctx, func(e entry) bool {
		entries = append(entries, e.Entry)
		return true
	}, "--boot", "--unit="+r.unit, "--lines="+strconv.Itoa(n))
	return entries, err
}

// Now returns CLOCK_MONOTONIC, the clock of journald's timestamps.
func (r *Reader) Now() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0 // all events of the boot count then
	}
	return time.Duration(t.Nano())
}
