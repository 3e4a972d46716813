package journal

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"archy-recovery/internal/recover/diagnosis"
)

const (
	// linesKept is how many lines of an attempt are kept, the last ones.
	linesKept = 64
	// tailRead is how many lines of all attempts are read, the last ones.
	tailRead = 5000
	// firstLine bounds the wait for the first line, which is long on a host that
	// boots; lateLines that for lines that journald still has to receive; and
	// afterEnds is how long it has to be quiet once the manager has told all ends:
	// it tells them after the last line of a unit, but by another socket.
	firstLine = 5 * time.Second
	lateLines = 2 * time.Second
	afterEnds = 100 * time.Millisecond
)

// Output returns what was written in the boot for each of the attempts, oldest
// line first: by podman, by what podman runs, by the container and by the
// manager. Result i is attempt i's. journald is asynchronous, so the last line may
// come after the job's end: one journalctl follows the journal until the manager has
// told how each unit ended, or for 2 s without news (5 s before the first line).
// Lines that came before an error are returned with it.
func (r *Reader) Output(ctx context.Context, boot string, attempts []diagnosis.Attempt) ([][]diagnosis.Line, error) {
	o := newOutput(r.uid, attempts)
	matches := o.matches()
	if len(matches) == 0 { // journalctl would print the whole journal
		return o.lines, nil
	}
	// Left to itself, --follow takes the boot from /proc, which in a machine that is a
	// container shows the host's to a sandboxed unit.
	args := []string{"--follow", "--boot=" + boot, "--lines=" + strconv.Itoa(tailRead), "--output=json",
		"--all", "--output-fields=" + outputFields}
	following, stop := context.WithCancel(ctx)
	defer stop()
	err := run(following, r.limit, append(args, matches...), func(out io.Reader) (bool, error) {
		quiet := time.AfterFunc(firstLine, stop) // which closes out
		defer quiet.Stop()
		err := o.read(out, func() {
			if o.open == 0 {
				quiet.Reset(afterEnds)
			} else {
				quiet.Reset(lateLines)
			}
		})
		if following.Err() != nil { // stopped: all that came is read
			err = ctx.Err()
		}
		return false, err
	})
	return o.lines, err
}

// outputFields is what is asked for, beside the timestamps that come in any case.
const outputFields = "MESSAGE,MESSAGE_ID,_PID,_UID,_COMM,_EXE,_TRANSPORT,_SYSTEMD_CGROUP," +
	"_SYSTEMD_UNIT,_SYSTEMD_USER_UNIT,_SYSTEMD_INVOCATION_ID,SYSLOG_IDENTIFIER,INVOCATION_ID," +
	"USER_INVOCATION_ID,CONTAINER_ID_FULL,CONTAINER_NAME,PODMAN_EVENT,PODMAN_NAME,PODMAN_ID"

// output gathers the lines of attempts.
type output struct {
	uid      string
	attempts []diagnosis.Attempt
	lines    [][]diagnosis.Line
	// byInvocation is attempts by their unit's invocation.
	byInvocation map[string]int
	// ended holds which attempts' ends were told; open is how many are not.
	ended []bool
	open  int
}

func newOutput(uid int, attempts []diagnosis.Attempt) *output {
	o := &output{uid: strconv.Itoa(uid), attempts: attempts, lines: make([][]diagnosis.Line, len(attempts)),
		byInvocation: map[string]int{}, ended: make([]bool, len(attempts)), open: len(attempts)}
	for i, a := range attempts {
		if a.InvocationID != "" {
			o.byInvocation[a.InvocationID] = i
		}
	}
	return o
}

// matches is what journalctl is to look for. journald itself sets what begins
// with an underscore, also _SYSTEMD_INVOCATION_ID= of a user's unit. A manager
// names the invocation that it tells of in INVOCATION_ID=, a user's in
// USER_INVOCATION_ID=.
func (o *output) matches() (words []string) {
	or := func(match ...string) {
		if len(words) > 0 {
			words = append(words, "+")
		}
		words = append(words, match...)
	}
	for _, a := range o.attempts {
		if a.InvocationID != "" {
			or("_SYSTEMD_INVOCATION_ID=" + a.InvocationID)
			if o.uid == "0" {
				or("INVOCATION_ID="+a.InvocationID, "_PID=1")
			} else {
				or("USER_INVOCATION_ID="+a.InvocationID, "_UID="+o.uid)
			}
		}
		if a.MainPID > 0 {
			or("_PID="+strconv.Itoa(a.MainPID), "_UID="+o.uid, "_TRANSPORT=stdout")
			if o.uid != "0" {
				or("_SYSTEMD_USER_UNIT="+scope(a), "_UID="+o.uid)
			}
		}
		if a.Unit != "" {
			or(o.unitField()+"="+a.Unit, "_UID="+o.uid)
		}
		if stem, ok := strings.CutSuffix(a.Unit, ".service"); ok {
			or("SYSLOG_IDENTIFIER="+stem, "_UID="+o.uid, "_TRANSPORT=stdout")
		}
		if a.ContainerID != "" {
			or("CONTAINER_ID_FULL="+a.ContainerID, "_UID="+o.uid)
			or("PODMAN_ID="+a.ContainerID, "PODMAN_EVENT=start", "PODMAN_EVENT=died", "_UID="+o.uid)
		} else if a.Container != "" {
			or("CONTAINER_NAME="+a.Container, "_UID="+o.uid)
			or("PODMAN_NAME="+a.Container, "PODMAN_EVENT=start", "PODMAN_EVENT=died", "_UID="+o.uid)
		}
	}
	return words
}

// read reads entries to the end, or to an error, and calls news after each.
func (o *output) read(out io.Reader, news func()) error {
	in := bufio.NewReaderSize(out, maxEntry)
	for {
		line, err := nextLine(in)
		var raw map[string]json.RawMessage
		if json.Unmarshal(line, &raw) == nil {
			fields := make(map[string]string, len(raw))
			for name, value := range raw {
				fields[name] = fieldText(value)
			}
			o.add(fields)
			news()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// add files an entry under its attempts.
func (o *output) add(fields map[string]string) {
	manager, ends := o.byManager(fields)
	if i, ok := o.byInvocation[fields["_SYSTEMD_INVOCATION_ID"]]; ok {
		o.keep(i, fields)
		return
	}
	if i, ok := o.byInvocation[manager]; ok {
		o.keep(i, fields)
		if ends {
			o.end(i)
		}
		return
	}
	if fields["_UID"] != o.uid {
		return
	}
	monotonic, _ := strconv.ParseInt(fields["__MONOTONIC_TIMESTAMP"], 10, 64)
	at := time.Duration(monotonic) * time.Microsecond
	for i, a := range o.attempts {
		if at < a.Since || a.Until > 0 && at > a.Until || !names(a, fields) && !o.wrote(a, fields) {
			continue
		}
		o.keep(i, fields)
		if fields["PODMAN_EVENT"] == "died" && a.InvocationID == "" {
			o.end(i)
		}
	}
}

// wrote reports whether an entry is from a process of the unit that journald did not
// see in its invocation: one that had ended when journald looked, or podman in a scope of
// its own. Quadlet names the unit in SYSLOG_IDENTIFIER=; else it is the PID that tells.
func (o *output) wrote(a diagnosis.Attempt, fields map[string]string) bool {
	if fields["_SYSTEMD_INVOCATION_ID"] == "" && a.Unit != "" && fields[o.unitField()] == a.Unit {
		return true
	}
	if a.MainPID > 0 && path.Base(fields["_SYSTEMD_CGROUP"]) == scope(a) {
		return true
	}
	if fields["_COMM"] != "" || fields["_SYSTEMD_CGROUP"] != "" || fields["_TRANSPORT"] != "stdout" {
		return false
	}
	return a.MainPID > 0 && fields["_PID"] == strconv.Itoa(a.MainPID) ||
		a.Unit != "" && fields["SYSLOG_IDENTIFIER"]+".service" == a.Unit
}

// unitField is where journald names the unit of the containers' manager.
func (o *output) unitField() string {
	if o.uid == "0" {
		return "_SYSTEMD_UNIT"
	}
	return "_SYSTEMD_USER_UNIT"
}

// scope is the unit that podman makes for itself.
func scope(a diagnosis.Attempt) string { return fmt.Sprintf("podman-%d.scope", a.MainPID) }

// names reports whether an entry is on the attempt's container, by conmon or
// podman outside of the unit: anyone may set the names.
func names(a diagnosis.Attempt, fields map[string]string) bool {
	if comm := fields["_COMM"]; comm != "conmon" && comm != "podman" && comm != "exe" {
		return false
	}
	if a.ContainerID != "" {
		return fields["CONTAINER_ID_FULL"] == a.ContainerID || fields["PODMAN_ID"] == a.ContainerID
	}
	return a.Container != "" && (fields["CONTAINER_NAME"] == a.Container || fields["PODMAN_NAME"] == a.Container)
}

// byManager returns the invocation that the containers' manager tells of, and
// whether it tells its end.
func (o *output) byManager(fields map[string]string) (invocation string, ends bool) {
	ends = fields["MESSAGE_ID"] == idUnitResult || fields["MESSAGE_ID"] == idUnitSucceeded
	switch {
	case o.uid == "0" && fields["_PID"] == "1":
		return fields["INVOCATION_ID"], ends
	case o.uid != "0" && fields["_UID"] == o.uid && fields["_COMM"] == "systemd":
		return fields["USER_INVOCATION_ID"], ends
	}
	return "", false
}

func (o *output) end(i int) {
	if !o.ended[i] {
		o.ended[i] = true
		o.open--
	}
}

// keep adds a line to an attempt's and drops the oldest above the bound, but
// never podman's word that the container has started.
func (o *output) keep(i int, fields map[string]string) {
	us, _ := strconv.ParseInt(fields["__REALTIME_TIMESTAMP"], 10, 64)
	l := diagnosis.Line{Time: time.UnixMicro(us), Comm: fields["_COMM"], Exe: fields["_EXE"],
		Transport: fields["_TRANSPORT"], Cgroup: fields["_SYSTEMD_CGROUP"],
		Container: fields["CONTAINER_NAME"] + fields["PODMAN_NAME"], ContainerID: fields["CONTAINER_ID_FULL"],
		Event:   fields["PODMAN_EVENT"],
		Message: fields["MESSAGE"][:min(len(fields["MESSAGE"]), diagnosis.MaxMessage)]}
	o.lines[i] = append(o.lines[i], l)
	if len(o.lines[i]) > linesKept {
		oldest := 0
		if o.lines[i][0].Event == "start" {
			oldest = 1
		}
		o.lines[i] = slices.Delete(o.lines[i], oldest, oldest+1)
	}
}
