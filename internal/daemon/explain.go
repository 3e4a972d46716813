package daemon

import (
	"context"
	"strconv"
	"sync"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/diagnosis"
	"archy-recovery/internal/recover/survey"
)

const (
	// gatherFailures is how long failures are gathered: one journalctl reads the lines of
	// all of them.
	gatherFailures = 300 * time.Millisecond
	// explainWithin bounds an explanation.
	explainWithin = 10 * time.Second
)

// Output returns what was written in a boot for each of the attempts, oldest line first.
// It may answer with an error and with what it could read all the same.
type Output interface {
	Output(ctx context.Context, boot string, attempts []diagnosis.Attempt) ([][]diagnosis.Line, error)
}

// Ports tells what has a port of the host, as far as podman and systemd know.
type Ports interface {
	// PublishesPort returns the running container that publishes it, "" if none does.
	PublishesPort(ctx context.Context, port int) (string, error)
	// SocketOn returns the socket unit that listens on it, "" if none does.
	SocketOn(ctx context.Context, port int) (string, error)
}

// portHolder says in words what has a port, "" if that cannot be found.
func (w World) portHolder(ctx context.Context, text string) string {
	port, err := strconv.Atoi(text)
	if w.Ports == nil || err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, survey.AnswerWithin)
	defer cancel()
	if unit, err := w.Ports.SocketOn(ctx, port); err == nil && unit != "" {
		return unit + " listens on it"
	}
	if name, err := w.Ports.PublishesPort(ctx, port); err == nil && name != "" {
		return "container " + name + " publishes it"
	}
	return ""
}

// Explain says why the row's last attempt failed, or why its container fell.
func (s *starter) Explain(ctx context.Context, row recover.Row) recover.Explanation {
	ctx, cancel := context.WithTimeout(ctx, explainWithin)
	defer cancel()
	s.learnEnabled(ctx, row)
	known := s.knows(row.Name)
	attempt := diagnosis.Attempt{Unit: row.Unit, MainPID: known.mainPID, InvocationID: known.invocation,
		Container: row.Name, Since: known.began}
	if row.Generated || known.outlives {
		attempt.ContainerID = known.id
	}
	facts := diagnosis.Facts{Unit: row.Unit, Container: row.Name, Rootless: s.world.Rootless,
		ExitStatus: known.exitStatus}
	if n := len(row.Attempts); n > 0 {
		last := row.Attempts[n-1]
		facts.Result = last.Result
		if fall := last.Fell; fall != nil {
			facts.Result, facts.ExitStatus, facts.OOMKilled = fall.Result, fall.ExitCode, fall.OOMKilled
		}
	}
	lines := s.words.of(ctx, attempt)
	reason, named := diagnosis.Explain(lines, facts)
	e := recover.Explanation{Cause: reason.Sentence, Advice: reason.Advice, Output: diagnosis.Quote(lines)}
	if named {
		e.Reason = reason.ID
		e.NeedsNetwork = s.explainedByNetwork(ctx, reason.ID)
		e.Arrives = reason.ID == diagnosis.BindMissing || lacksImage(reason.ID)
	}
	if reason.ID == diagnosis.PortTaken {
		if holder := s.world.portHolder(ctx, reason.Names["port"]); holder != "" {
			e.Cause += ": " + holder
		}
	}
	if !named || mayBeDamage[reason.ID] {
		if damaged := s.checkup.wait(ctx).damaged(row, known.id); damaged != nil {
			e.Reason, e.Cause, e.Advice = diagnosis.ImageDamaged, damaged.Error(), ""
		}
	}
	return e
}

// mayBeDamage are the causes that may follow from an image that is damaged.
var mayBeDamage = map[string]bool{diagnosis.ImageDamaged: true, "exec-format": true, "exit-code": true, "signal": true,
	"command-missing": true, "user-missing": true, "permission": true, "start-limit": true}

// words reads what was written for attempts, for several at once.
type words struct {
	world World
	boot  string // that of the attempts

	mu sync.Mutex
	// gathered are the attempts whose lines are read next.
	gathered []gatheredAttempt
}

type gatheredAttempt struct {
	diagnosis.Attempt
	lines chan<- []diagnosis.Line // has room for one
}

// of returns the lines of an attempt, none if they do not come before ctx ends.
func (w *words) of(ctx context.Context, a diagnosis.Attempt) []diagnosis.Line {
	if w.world.Output == nil {
		return nil
	}
	lines := make(chan []diagnosis.Line, 1)
	w.mu.Lock()
	w.gathered = append(w.gathered, gatheredAttempt{a, lines})
	first := len(w.gathered) == 1
	w.mu.Unlock()
	if first {
		w.read(ctx)
	}
	select {
	case l := <-lines:
		return l
	case <-ctx.Done():
		return nil
	}
}

// read gathers attempts for a while and reads their lines.
func (w *words) read(ctx context.Context) {
	gather := time.NewTimer(gatherFailures)
	defer gather.Stop()
	select {
	case <-gather.C:
	case <-ctx.Done():
	}
	w.mu.Lock()
	all := w.gathered
	w.gathered = nil
	w.mu.Unlock()
	attempts := make([]diagnosis.Attempt, len(all))
	for i, g := range all {
		attempts[i] = g.Attempt
	}
	lines, err := w.world.Output.Output(ctx, w.boot, attempts)
	if err != nil && ctx.Err() == nil {
		w.world.Log.Debug("what was written for failed starts cannot be read", "error", err)
	}
	for i, g := range all {
		if i < len(lines) {
			g.lines <- lines[i]
		} else {
			g.lines <- nil
		}
	}
}
