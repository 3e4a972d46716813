package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// Reader reads the journal through journalctl -o json, its documented
// interface: after a power failure the journal is just where a damaged file is
// likely, and what that does to a reader had better happen to another process.
// It implements recover.Journal.
type Reader struct {
	// directory is where to read, "" for this machine's journal.
	directory string
	// unit is the service that we are.
	unit string
}

// NewReader returns a Reader for the journal of this machine, for the instance
// whose service is unit.
func NewReader(unit string) *Reader { return &Reader{unit: unit} }

// Bounds of one reading: of its time, and of what is read of its output.
const (
	readTime  = 2 * time.Second
	maxOutput = 16 << 20
	maxEntry  = 1 << 20
	tailLines = 400
)

// read runs journalctl with args and returns what it prints, oldest first. A
// damaged journal gives what journalctl can make of it, which may be nothing;
// one that cannot be read in time is an error.
func (r *Reader) read(ctx context.Context, args ...string) ([]recover.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	args = append([]string{"--output=json", "--quiet", "--no-pager", "--output-fields=" + fields}, args...)
	if r.directory != "" {
		args = append([]string{"--directory=" + r.directory}, args...)
	}
	cmd := exec.CommandContext(ctx, "journalctl", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &limited{w: &stderr, left: 4096}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot run journalctl: %w", err)
	}
	entries, err := parse(io.LimitReader(out, maxOutput))
	if err != nil {
		cancel() // it may still be writing
	}
	if waitErr := cmd.Wait(); err == nil && waitErr != nil {
		err = fmt.Errorf("journalctl: %w: %s", waitErr, strings.TrimSpace(stderr.String()))
	}
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return entries, err
}

// fields is what is asked for; __CURSOR and the timestamps come in any case.
const fields = "MESSAGE,MESSAGE_ID,PRIORITY,SYSLOG_IDENTIFIER,_TRANSPORT,_PID,_UID," +
	"UNIT,USER_UNIT,UNIT_RESULT,EXIT_CODE,EXIT_STATUS,SHUTDOWN,JOB_TYPE,JOB_RESULT," +
	"PODMAN_TYPE,PODMAN_EVENT,PODMAN_NAME,PODMAN_IMAGE,PODMAN_EXIT_CODE"

// parse reads a line an entry. A line that cannot be read is an entry lost,
// and no more: what comes after a damaged one may be well.
func parse(in io.Reader) ([]recover.Entry, error) {
	var entries []recover.Entry
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxEntry)
	for lines.Scan() {
		var raw map[string]json.RawMessage
		if json.Unmarshal(lines.Bytes(), &raw) != nil {
			continue
		}
		entries = append(entries, entryOf(raw))
	}
	return entries, lines.Err()
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
		case "_PID":
			e.PID, _ = strconv.Atoi(text)
		case "SYSLOG_IDENTIFIER":
			e.Source = text
		default:
			e.Fields[name] = text
		}
	}
	return e
}

// fieldText reads a field's value: a string; an array of bytes, where it is
// not UTF-8; an array of values, where it is set more than once (the last one
// counts); or null, where it was left out for its size.
func fieldText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var octets []int
	if json.Unmarshal(raw, &octets) == nil {
		b := make([]byte, len(octets))
		for i, o := range octets {
			b[i] = byte(o)
		}
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	var values []json.RawMessage
	if json.Unmarshal(raw, &values) == nil && len(values) > 0 {
		return fieldText(values[len(values)-1])
	}
	return ""
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
// thisBoot found of it.
func (r *Reader) BootEnd(ctx context.Context, boot, thisBoot string) (recover.BootEnd, error) {
	var end recover.BootEnd
	var err error
	end.Tail, err = r.read(ctx, "--lines="+strconv.Itoa(tailLines), "_BOOT_ID="+boot)
	if err != nil {
		return end, err
	}
	// The kernel tells of a watchdog's reset, systemd-pstore of records of a
	// panic that the firmware kept.
	later, err := r.read(ctx, "_BOOT_ID="+thisBoot, "_TRANSPORT=kernel", "+", "_BOOT_ID="+thisBoot, "SYSLOG_IDENTIFIER=systemd-pstore")
	if err != nil {
		return end, err
	}
	for _, e := range later {
		if e.Kernel {
			end.Next = append(end.Next, e)
		} else {
			end.Records = append(end.Records, e)
		}
	}
	return end, nil
}

// ServiceEnd returns what systemd said, in the given boot, of our unit's
// processes and their ends, the last 50 times.
func (r *Reader) ServiceEnd(ctx context.Context, boot string) ([]recover.Entry, error) {
	return r.read(ctx, "--lines=50", "_BOOT_ID="+boot, "_PID=1", "UNIT="+r.unit)
}
