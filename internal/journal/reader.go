package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/recover"

	"golang.org/x/sys/unix"
)

// Reader reads the journal through journalctl -o json, its documented
// interface: after a power failure the journal is just where a damaged file is
// likely, and what that does to a reader had better happen to another process.
// It implements recover.Journal.
type Reader struct {
	// unit is the service that we are.
	unit string
	// uid is whose podman and manager count.
	uid int
	// invocation is our own run of the unit (systemd.exec(5)), "" by hand.
	invocation string
	// watchdogs is sysWatchdogs and limit is readTime, but in tests.
	watchdogs string
	limit     time.Duration
}

// NewReader returns a Reader for the journal of this machine, for the instance
// whose service is unit and whose containers are uid's.
func NewReader(unit string, uid int) *Reader {
	return &Reader{unit: unit, uid: uid, invocation: os.Getenv("INVOCATION_ID"), watchdogs: sysWatchdogs, limit: readTime}
}

// Bounds of one reading: of its time, and of what is read of its output. A slow
// machine that is booting, with all its services starting at once, takes several
// seconds to read what takes an idle one a few milliseconds.
const (
	readTime  = 10 * time.Second
	maxOutput = 16 << 20
	maxEntry  = 1 << 20
	tailLines = 400
	headLines = 2000 // of a boot that may have lasted for months: what its kernel says at the start
)

// read runs journalctl with args and returns what it prints, oldest first. A
// damaged journal gives what journalctl can make of it, which may be nothing;
// one that cannot be read in time is an error.
func (r *Reader) read(ctx context.Context, args ...string) ([]recover.Entry, error) {
	return r.readSome(ctx, func(recover.Entry) taking { return take }, args...)
}

// taking is what is to become of an entry that is read.
type taking int

const (
	take taking = iota
	drop
	stop // before it
)

// readSome is read, but of each entry says what to do with it.
func (r *Reader) readSome(ctx context.Context, some func(recover.Entry) taking, args ...string) (entries []recover.Entry, err error) {
	args = append([]string{"--output=json", "--output-fields=" + fields}, args...)
	err = run(ctx, r.limit, args, func(out io.Reader) (whole bool, err error) {
		entries, whole, err = parse(out, r.uid, some)
		return whole, err
	})
	return entries, err
}

// run runs journalctl for at most limit and gives its output to read, which
// says whether it has read the whole of it; if not, journalctl is ended.
func run(ctx context.Context, limit time.Duration, args []string, read func(io.Reader) (whole bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "journalctl", append([]string{"--quiet", "--no-pager"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &limited{w: &stderr, left: 4096}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot run journalctl: %w", err)
	}
	// A journalctl that a failing disk holds in the kernel cannot be killed, and
	// keeps the pipe open; nor may it hold us.
	cmd.WaitDelay = time.Second
	defer context.AfterFunc(ctx, func() { out.Close() })()
	whole, err := read(io.LimitReader(out, maxOutput))
	if !whole {
		if late := ctx.Err(); err != nil && late != nil {
			err = fmt.Errorf("journalctl: %w", late) // what became of the pipe says nothing
		}
		cancel()       // it may still be writing
		_ = cmd.Wait() // we ended it: nor does its status
		return err
	}
	if waitErr := cmd.Wait(); waitErr != nil { // says more than what read made of it
		err = fmt.Errorf("journalctl: %w: %s", waitErr, strings.TrimSpace(stderr.String()))
	}
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return err
}

// fields is what is asked for; __CURSOR and the timestamps come in any case.
const fields = "MESSAGE,MESSAGE_ID,PRIORITY,SYSLOG_IDENTIFIER,_TRANSPORT,_PID,_UID,_SYSTEMD_UNIT," +
	"UNIT,USER_UNIT,UNIT_RESULT,EXIT_CODE,EXIT_STATUS,INVOCATION_ID,SHUTDOWN,JOB_TYPE,JOB_RESULT," +
	"PODMAN_EVENT,PODMAN_NAME,PODMAN_IMAGE,PODMAN_EXIT_CODE,PODMAN_LABELS,FILE"

// parse reads a line an entry, to the end (whole) or until some says so. A line
// that cannot be read, or is too long, is an entry lost, and no more: what comes
// after a damaged one may be well, and anybody may write a long one. What the
// manager of uid says is believed, besides what PID 1 does (see mayMean).
func parse(in io.Reader, uid int, some func(recover.Entry) taking) (entries []recover.Entry, whole bool, err error) {
	lines := bufio.NewReaderSize(in, maxEntry)
	for err == nil {
		var line []byte
		if line, err = nextLine(lines); err != nil && err != io.EOF {
			return entries, false, err
		}
		var raw map[string]json.RawMessage
		if json.Unmarshal(line, &raw) != nil {
			continue
		}
		e := entryOf(raw)
		if !mayMean(e, uid) {
			e.ID = ""
		}
		switch some(e) {
		case take:
			entries = append(entries, e)
		case stop:
			return entries, false, nil
		}
	}
	return entries, true, nil
}

// nextLine returns the next line, or nothing for one that does not fit the
// reader's buffer.
func nextLine(lines *bufio.Reader) (line []byte, err error) {
	line, err = lines.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		line = nil
		_, err = lines.ReadSlice('\n')
	}
	return line, err
}

func entryOf(raw map[string]json.RawMessage) recover.Entry {
	e := recover.Entry{Fields: map[string]string{}}
	for name, value := range raw {
		text := fieldText(value)
		switch name {
		case "__CURSOR":
			e.Cursor = text
		case "__REALTIME_TIMESTAMP":
			us, _ := strconv.ParseInt(text, 10, 64)
			e.Time = time.UnixMicro(us)
		case "__MONOTONIC_TIMESTAMP":
			us, _ := strconv.ParseInt(text, 10, 64)
			e.Monotonic = time.Duration(us) * time.Microsecond
		case "MESSAGE":
			e.Message = text
		case "MESSAGE_ID":
			e.ID = text
		case "_TRANSPORT":
			e.Kernel = text == "kernel"
			e.Fields[name] = text
		case "_PID":
			e.PID, _ = strconv.Atoi(text)
		default:
			e.Fields[name] = text
		}
	}
	return e
}

// mayMean reports whether an entry comes from one who may say what its
// MESSAGE_ID= says. Every user may write entries with any fields but those that
// begin with an underscore: these journald sets itself, by what the kernel says
// of the sender (systemd.journal-fields(7)).
func mayMean(e recover.Entry, uid int) bool {
	switch e.ID {
	case recover.IDJournalStop:
		return e.Fields["_TRANSPORT"] == "driver" // journald's own words
	case recover.IDShutdown:
		return saidBy(e, "systemd-logind.service")
	}
	// All others that count are a manager's, on its units: the host's, or that
	// of the containers' user, who may well lie to himself.
	return e.PID == 1 || e.Fields["UNIT"] == "" && e.Fields["_UID"] == strconv.Itoa(uid)
}

// saidBy reports whether root said it, and in the unit. journald may come too
// late to see what unit one was of that ended at once: root is believed then.
func saidBy(e recover.Entry, unit string) bool {
	of := e.Fields["_SYSTEMD_UNIT"]
	return e.Fields["_UID"] == "0" && (of == "" || of == unit)
}

// fieldText reads a field's value: a string; an array of bytes, where it is
// not UTF-8; an array of these, where it is set more than once (the last one
// counts); or null, where it was left out for its size.
func fieldText(raw json.RawMessage) string {
	if text, ok := fieldValue(raw); ok {
		return text
	}
	var values []json.RawMessage
	if json.Unmarshal(raw, &values) == nil && len(values) > 0 {
		text, _ := fieldValue(values[len(values)-1])
		return text
	}
	return ""
}

func fieldValue(raw json.RawMessage) (text string, ok bool) {
	if json.Unmarshal(raw, &text) == nil {
		return text, true
	}
	var octets []int
	if json.Unmarshal(raw, &octets) != nil {
		return "", false
	}
	b := make([]byte, len(octets))
	for i, o := range octets {
		b[i] = byte(o)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD"), true
}

// limited keeps the first bytes and drops the rest.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	keep := p[:min(len(p), l.left)]
	l.left -= len(keep)
	if _, err := l.w.Write(keep); err != nil {
		return 0, err
	}
	return len(p), nil
}

// BootEnd returns how the boot with the given ID ended, and what the boot
// thisBoot, which is the one that runs, found of it.
func (r *Reader) BootEnd(ctx context.Context, boot, thisBoot string) (recover.BootEnd, error) {
	end, err := r.journalEnd(ctx, boot, thisBoot)
	end.Next = append(end.Next, watchdogResets(r.watchdogs)...)
	return end, err
}

// journalEnd is BootEnd by the journal alone, for any two boots.
func (r *Reader) journalEnd(ctx context.Context, boot, thisBoot string) (recover.BootEnd, error) {
	var end recover.BootEnd
	var err error
	end.Tail, err = r.read(ctx, "--lines="+strconv.Itoa(tailLines), "_BOOT_ID="+boot)
	if err != nil {
		return end, err
	}
	// The kernel tells of a watchdog's reset, systemd-pstore of records of a
	// panic that the firmware kept: what is in them is its FILE=, which is long.
	lines := 0
	head := func(recover.Entry) taking {
		if lines++; lines > headLines {
			return stop
		}
		return take
	}
	later, err := r.readSome(ctx, head, "--all", "_BOOT_ID="+thisBoot, "_TRANSPORT=kernel", "+",
		"_BOOT_ID="+thisBoot, "SYSLOG_IDENTIFIER=systemd-pstore", "_UID=0")
	if err != nil {
		return end, err
	}
	for _, e := range later {
		switch {
		case e.Kernel:
			end.Next = append(end.Next, e)
		case saidBy(e, "systemd-pstore.service"):
			// And not the output of a container of root's with that name, which
			// podman writes with the name as the identifier.
			end.Records = append(end.Records, e)
		}
	}
	return end, nil
}

// ServiceEnd returns what systemd said, in the given boot, of our unit's
// processes and their ends, the last 50 times, but not what it says of us.
func (r *Reader) ServiceEnd(ctx context.Context, boot string) ([]recover.Entry, error) {
	others := func(e recover.Entry) taking {
		if r.invocation != "" && e.Fields["INVOCATION_ID"] == r.invocation {
			return drop
		}
		return take
	}
	return r.readSome(ctx, others, "--lines=50", "_BOOT_ID="+boot, "_PID=1", "UNIT="+r.unit)
}

// Events returns podman's events, and what the manager of the containers' units
// says of them, in a boot and later than since, oldest first. Of a unit that
// ended well, or failed, over and over, the last end stands for all.
func (r *Reader) Events(ctx context.Context, boot string, since time.Duration) ([]recover.Entry, error) {
	// Not the others: a health check is an event too, twice a minute and container.
	match := []string{"_BOOT_ID=" + boot, "PODMAN_TYPE=container", "_UID=" + strconv.Itoa(r.uid),
		"PODMAN_EVENT=start", "PODMAN_EVENT=died", "PODMAN_EVENT=remove"}
	or := func(words ...string) { match = append(append(match, "+", "_BOOT_ID="+boot), words...) }
	or("MESSAGE_ID="+recover.IDShutdown, "_UID=0")
	or("_PID=1", "UNIT="+recover.HostUp)
	if r.uid == 0 {
		or(append(unitEnds, "_PID=1")...)
	} else {
		// A user's manager writes as the user; what it says of units of its
		// own has USER_UNIT=. PID 1 says when that manager begins and ends.
		or(append(unitEnds, "_UID="+strconv.Itoa(r.uid), "SYSLOG_IDENTIFIER=systemd")...)
		or("_PID=1", fmt.Sprintf("UNIT=user@%d.service", r.uid))
	}
	entries, err := r.readSome(ctx, eventsSince(since), append([]string{"--reverse"}, match...)...)
	if r.uid == 0 { // users come and go: that is no end of the host's manager
		entries = slices.DeleteFunc(entries, func(e recover.Entry) bool { return strings.HasPrefix(e.Fields["UNIT"], "user@") })
	}
	slices.Reverse(entries)
	return entries, err
}

// eventsSince reads backwards to the time since. In a set that has not changed
// for weeks the services of timers have ended ten thousands of times: of ends
// between two events of another kind, a unit's last one of a kind tells as much
// as all (see recover.Replay).
func eventsSince(since time.Duration) func(recover.Entry) taking {
	type ended struct{ unit, how string }
	later := map[ended]bool{}
	return func(e recover.Entry) taking {
		if e.Monotonic <= since {
			return stop
		}
		if e.ID != recover.IDUnitSuccess && e.ID != recover.IDUnitResult {
			clear(later)
			return take
		}
		this := ended{e.Fields["UNIT"] + e.Fields["USER_UNIT"], e.ID}
		if later[this] {
			return drop
		}
		later[this] = true
		return take
	}
}

// unitEnds matches what a manager says when a unit is being stopped, was
// stopped, ended well, or failed.
var unitEnds = []string{
	"MESSAGE_ID=" + recover.IDUnitStopping,
	"MESSAGE_ID=" + recover.IDUnitStopped,
	"MESSAGE_ID=" + recover.IDUnitSuccess,
	"MESSAGE_ID=" + recover.IDUnitResult,
}

// Now is CLOCK_MONOTONIC, by which journald stamps entries.
func (r *Reader) Now() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0 // all of the boot's events count then
	}
	return time.Duration(t.Nano())
}
