// Package diagnosis names the cause of a failed container start: it compares
// the lines that podman, its helpers and systemd wrote for the attempt with a
// table of known causes. It is pure: the lines and facts are given to it.
package diagnosis

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Facts are what systemd and podman say of an attempt's end beside its lines.
type Facts struct {
	// Unit and Container are the attempt's, "" if not known. Sentences and
	// commands name them.
	Unit, Container string
	// Rootless says that the unit belongs to a user's manager.
	Rootless bool
	// Result is the unit's Result= (org.freedesktop.systemd1.Service(5)), such as
	// "exit-code", "signal", "timeout", "oom-kill" or "start-limit-hit".
	Result string
	// ExitStatus is the unit's ExecMainStatus=, or the exit code of the container
	// in podman's "died" event where no unit holds the main process. It is a
	// signal's number if Result is "signal". 0 is a good end, or not known.
	ExitStatus int
	// OOMKilled is podman's State.OOMKilled of the container.
	OOMKilled bool
}

// A Reason is why an attempt failed.
type Reason struct {
	// ID is the cause's name in the table, or "unknown".
	ID string
	// Sentence says what happened, with the names that the line had. Of an
	// unknown cause it is the line itself, or "" if there is none.
	Sentence string
	// Advice says what to do, "" of an unknown cause.
	Advice string
	// Quote is the line that tells the cause, as it was written but for
	// control characters; "" if the facts alone tell it.
	Quote string
	// Names are what the line names: image, path, port, …
	Names map[string]string
}

// Unknown is the ID of a cause that the table does not have.
const Unknown = "unknown"

// Explain returns why an attempt failed, by its lines, oldest first, and the
// facts. It reports whether the cause is one of the table; if not, the reason
// quotes the best line.
func Explain(lines []Line, facts Facts) (Reason, bool) {
	started := slices.ContainsFunc(lines, func(l Line) bool { return l.started(facts.Container) })
	if facts.OOMKilled || facts.Result == "oom-kill" {
		return named("out-of-memory", nil, "", facts), true
	}
	if r, ok := byWords(lines, started, facts); ok {
		return r, true
	}
	if r, ok := byRuntimeInProgram(lines, facts); ok {
		return r, true
	}
	return byFacts(lines, started, facts)
}

// byWords looks the engine's lines up in the table, the last line first: what
// podman says last is what it gave up for.
func byWords(lines []Line, started bool, facts Facts) (Reason, bool) {
	for _, l := range slices.Backward(lines) {
		from := l.Source()
		if from != Engine && from != Manager || l.Event != "" || l.isNoise() {
			continue
		}
		// podman run without --detach, and podman start --attach, write what the
		// container prints as their own. So podman's lines of a container that
		// has started may be the container's.
		if started && l.Transport == "stdout" && (l.isPodman() || l.isUnseen()) {
			continue
		}
		words := l.words()
		for _, c := range table {
			names, ok := c.match(from, words)
			if !ok {
				continue
			}
			if strings.HasPrefix(c.ID, "pull-") || c.ID == ImageMissing {
				// podman takes an image that is there and damaged for one that is not: that is the cause.
				if r, ok := damageBefore(lines, facts); ok {
					return r, true
				}
			}
			return c.reason(names, l.Text(), facts), true
		}
	}
	return Reason{}, false
}

var corrupted = regexp.MustCompile(`^Image (?P<image>\S+) exists in local storage but may be corrupted`)

// damageBefore finds the line in which podman says why it pulls an image anew.
func damageBefore(lines []Line, facts Facts) (Reason, bool) {
	for _, l := range lines {
		if l.Source() == Engine {
			if names, ok := submatches(corrupted, l.words()); ok {
				return named("image-damaged", names, l.Text(), facts), true
			}
		}
	}
	return Reason{}, false
}

// crunExec is what crun writes as the container when it cannot execute the
// program: at that moment it is the container's process.
var crunExec = regexp.MustCompile("^\\{\"msg\":\"exec container process (?:\\([^)]*\\) )?`(?P<path>[^`\"]+)`: " +
	"Exec format error\",\"level\":\"error\",\"time\":\"[^\"]*\"\\}$|" +
	"^(?:\\S+ )?exec container process (?:\\([^)]*\\) )?`(?P<path2>[^`\"]+)`: Exec format error$|" +
	"^exec (?P<path3>/[^ :]+): exec format error$")

// byRuntimeInProgram finds the one message of an OCI runtime that comes as the
// container's output. A container can print it, too; it is believed only where
// the container printed nothing else, and names nothing but a program.
func byRuntimeInProgram(lines []Line, facts Facts) (Reason, bool) {
	var only *Line
	for i, l := range lines {
		if l.Source() != Program {
			continue
		}
		if only != nil {
			return Reason{}, false
		}
		only = &lines[i]
	}
	if only == nil || facts.ExitStatus == 0 && facts.Result == "success" {
		return Reason{}, false
	}
	names, ok := submatches(crunExec, only.Text())
	if !ok {
		return Reason{}, false
	}
	program := cmp.Or(names["path"], names["path2"], names["path3"])
	return named("exec-format", map[string]string{"path": program}, only.Text(), facts), true
}

// byFacts judges by systemd's Result= and the exit status where no line tells.
func byFacts(lines []Line, started bool, facts Facts) (Reason, bool) {
	quote := lastWords(lines)
	switch {
	case facts.Result == "timeout":
		return timedOut(lines, quote, facts), true
	case facts.Result == "start-limit-hit":
		return named("start-limit", nil, quote, facts), true
	case facts.Result == "signal" || facts.Result == "core-dump" || facts.Result == "watchdog":
		return named("signal", map[string]string{"signal": signalName(facts)}, quote, facts), true
	}
	program := last(lines, func(l Line) bool { return l.Source() == Program && l.isOf(facts.Container) })
	if facts.ExitStatus > 0 && (started || program != "") {
		names := map[string]string{"status": strconv.Itoa(facts.ExitStatus), "line": cut(program, maxQuoted)}
		return named("exit-code", names, program, facts), true
	}
	return Reason{ID: Unknown, Sentence: quote, Quote: quote}, false
}

// timedOut tells a pull, a health check and a program that are too slow apart.
func timedOut(lines []Line, quote string, facts Facts) Reason {
	for _, l := range slices.Backward(lines) {
		if l.Source() != Engine {
			continue
		}
		if l.Event != "" { // podman went on to make the container
			break
		}
		if names, ok := submatches(pulling, l.words()); ok {
			return named("pull-slow", names, l.Text(), facts)
		}
	}
	checked := slices.ContainsFunc(lines, func(l Line) bool {
		// podman says "container is stopped" when it waited for the container to be
		// healthy, and systemd stopped the container (recorded with podman 5.4).
		return l.Source() == Engine && (l.Event == "health_status" || l.words() == "container is stopped")
	})
	if checked {
		return named("health-timeout", nil, quote, facts)
	}
	return named("start-timeout", nil, quote, facts)
}

var pulling = regexp.MustCompile(`^Trying to pull (?P<image>[^\s"']+?)(?:\.\.\.)?$`)

// signalName is a signal as a person knows it.
func signalName(facts Facts) string {
	known := map[int]string{4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV",
		15: "SIGTERM"}
	if name, ok := known[facts.ExitStatus]; ok {
		return name
	}
	if facts.ExitStatus == 0 {
		return "a signal"
	}
	return fmt.Sprintf("signal %d", facts.ExitStatus)
}

// lastWords is the line that says most: podman's or its helpers' last error, else
// their last line, else the last that the container printed.
func lastWords(lines []Line) string {
	engine := func(l Line) bool { return l.Source() == Engine && l.Event == "" && !l.isNoise() }
	failed := func(l Line) bool { return engine(l) && strings.Contains(l.Message, "Error:") }
	return cmp.Or(last(lines, failed), last(lines, engine),
		last(lines, func(l Line) bool { return l.Source() == Program }))
}

// last is the text of the last line that is one and is not empty.
func last(lines []Line, is func(Line) bool) string {
	for _, l := range slices.Backward(lines) {
		if is(l) {
			if text := l.Text(); text != "" {
				return text
			}
		}
	}
	return ""
}
