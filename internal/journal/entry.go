package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// An entry is a journal entry as journalctl prints it (systemd.journal-fields(7)).
type entry struct {
	recover.Entry
	id        string            // MESSAGE_ID=, empty where the sender may not use that ID
	pid       int               // _PID=
	kernel    bool              // _TRANSPORT=kernel
	monotonic time.Duration     // since the boot began
	fields    map[string]string // all other fields
}

// fields are the fields that are asked for. The cursor and the timestamps come in
// any case.
const fields = "MESSAGE,MESSAGE_ID,PRIORITY,SYSLOG_IDENTIFIER,_TRANSPORT,_PID,_UID,_SYSTEMD_UNIT," +
	"UNIT,USER_UNIT,UNIT_RESULT,EXIT_CODE,EXIT_STATUS,INVOCATION_ID,SHUTDOWN,JOB_TYPE,JOB_RESULT," +
	"PODMAN_EVENT,PODMAN_NAME,PODMAN_POD_ID,PODMAN_IMAGE,PODMAN_EXIT_CODE,PODMAN_LABELS,FILE"

// parse reads one entry a line and gives each to visit, until visit returns false or
// the text ends. whole reports that it read to the end. parse skips a line that is
// damaged or too long, because the lines after it can be good, and because every
// user may write a long one. uid is the user whose manager is trusted (see trusted).
func parse(in io.Reader, uid int, visit func(entry) bool) (whole bool, err error) {
	lines := bufio.NewReaderSize(in, maxEntry)
	for err == nil {
		var line []byte
		if line, err = nextLine(lines); err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		var raw map[string]json.RawMessage
		if json.Unmarshal(line, &raw) != nil {
			continue
		}
		e := entryOf(raw)
		if !trusted(e, uid) {
			e.id = ""
		}
		if !visit(e) {
			return false, nil
		}
	}
	return true, nil
}

// nextLine returns the next line. It returns an empty one in place of a line that
// does not fit the reader's buffer.
func nextLine(lines *bufio.Reader) (line []byte, err error) {
	line, err = lines.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		line = nil
		_, err = lines.ReadSlice('\n')
	}
	return line, err
}

func entryOf(raw map[string]json.RawMessage) entry {
	e := entry{fields: map[string]string{}}
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
			e.monotonic = time.Duration(us) * time.Microsecond
		case "MESSAGE":
			e.Message = text
		case "MESSAGE_ID":
			e.id = text
		case "_TRANSPORT":
			e.kernel = text == "kernel"
			e.fields[name] = text
		case "_PID":
			e.pid, _ = strconv.Atoi(text)
		default:
			e.fields[name] = text
		}
	}
	return e
}

// fieldText returns the value of a field. journalctl prints a string; an array of
// bytes for a value that is not UTF-8; an array of such values for a field that is
// set more than once, where the last one counts; and null for a value that it left
// out because of its size.
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
