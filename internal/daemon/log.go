package daemon

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/engine"
)

// logEvent logs an event of the engine. Attributes become journal fields.
func logEvent(l *slog.Logger, e engine.Event) {
	write := func(level slog.Level, id, text string, attrs ...any) {
		l.Log(context.Background(), level, text, append([]any{"MESSAGE_ID", id}, attrs...)...)
	}
	row := []any{"container", e.Row.Name, "unit", e.Row.Unit, "tier", e.Tier, "attempt", len(e.Row.Attempts)}
	ended := append(slices.Clone(row), slog.Duration("took", lastAttempt(e.Row).Round(time.Millisecond)))
	failed := append(slices.Clone(ended), slog.String("error", e.Row.Error))
	because, again := "", ""
	if line := e.Row.RetryLine(time.Now()); line != "" {
		again = "; " + line
	}
	if why := explanationOf(e.Row); why != nil {
		because = ": " + why.Cause
		failed = append(failed, "reason", why.Reason, "advice", why.Advice, "output", strings.Join(why.Output, "\n"))
	}
	switch e.Kind {
	case engine.TierStarted:
		write(slog.LevelInfo, recover.MsgTier, "tier starts", "tier", e.Tier)
	case engine.TierSettled:
		write(slog.LevelInfo, recover.MsgTier, "tier has settled", "tier", e.Tier)
	case engine.TierLate:
		write(slog.LevelWarn, recover.MsgTier,
			"tier has not settled by its deadline; later tiers go on beside it", "tier", e.Tier)
	case engine.Starting:
		if e.Row.Retry != nil && !e.Row.Alone {
			write(slog.LevelInfo, recover.MsgRetry, "tried again", append(row, "tries", e.Row.Retry.Tries)...)
			return
		}
		if e.Row.Alone {
			write(slog.LevelInfo, recover.MsgProbation, "starting alone", append(row, "strikes", e.Row.Strikes)...)
			return
		}
		write(slog.LevelDebug, recover.MsgStarting, "starting", row...)
	case engine.Waiting:
		write(slog.LevelWarn, recover.MsgWaiting, e.Row.Error, row...)
	case engine.NoNetwork:
		write(slog.LevelWarn, recover.MsgWaiting, "recovery goes on without it: "+e.Row.Error, row...)
	case engine.Up:
		write(slog.LevelInfo, recover.MsgUp, "up", ended...)
	case engine.Unhealthy:
		level, next := slog.LevelInfo, "others wait for its health check"
		if e.Row.Health == recover.HealthLate {
			level, next = slog.LevelWarn, "others do not wait any longer for its health check"
		}
		write(level, recover.MsgHealth, "it runs and is not healthy yet; "+next, row...)
	case engine.Healthy:
		took := e.Row.LastAttempt().Healthy.Sub(e.Row.LastAttempt().Started)
		write(slog.LevelInfo, recover.MsgHealth, "healthy",
			append(row, slog.Duration("took", took.Round(time.Millisecond)))...)
	case engine.AttemptFailed:
		write(slog.LevelWarn, recover.MsgAttemptFailed, "start failed, to be tried once more"+because, failed...)
	case engine.GaveUp:
		write(slog.LevelError, recover.MsgGaveUp, "not recovered"+because+again, failed...)
	case engine.Fell:
		write(slog.LevelError, recover.MsgFell, "it was up and has ended"+because+again, failed...)
	case engine.Restarting:
		write(slog.LevelWarn, recover.MsgRestarting, "it ends and is started again"+because,
			append(failed, "restarts", e.Row.Restarts)...)
	case engine.FoundUp:
		write(slog.LevelInfo, recover.MsgUp, "it runs: something else has started it", row...)
	case engine.RetryPlanned, engine.RetryEnded:
		if line := e.Row.RetryLine(time.Now()); line != "" {
			id := map[bool]string{true: recover.MsgRetryEnded, false: recover.MsgRetry}[e.Row.Retry.Ended != ""]
			write(slog.LevelInfo, id, line, append(row, "tries", e.Row.Retry.Tries)...)
		}
	case engine.Ended:
		write(slog.LevelInfo, recover.MsgDone, "the job is done", row...)
	case engine.Explained:
		write(slog.LevelInfo, recover.MsgAttemptFailed, "it is known now why it failed"+because, failed...)
	case engine.Skipped, engine.Deferred:
		write(slog.LevelInfo, recover.MsgLeftAlone, "left to systemd: "+e.Row.Error, row...)
	}
}

// explanationOf is why a row's last attempt failed, nil if that is not known or says
// nothing.
func explanationOf(row recover.Row) *recover.Explanation {
	n := len(row.Attempts)
	if n == 0 || row.Attempts[n-1].Why == nil || row.Attempts[n-1].Why.Cause == "" {
		return nil
	}
	return row.Attempts[n-1].Why
}

// lastAttempt is how long a row's last attempt lasted.
func lastAttempt(row recover.Row) time.Duration {
	n := len(row.Attempts)
	if n == 0 || row.Attempts[n-1].Ended.IsZero() {
		return 0
	}
	return row.Attempts[n-1].Ended.Sub(row.Attempts[n-1].Started)
}

func logVerdict(l *slog.Logger, v recover.Verdict) {
	attrs := []any{"MESSAGE_ID", recover.MsgVerdict, "verdict", string(v.Ending), "reason", v.Reason}
	if v.Cause != "" {
		attrs = append(attrs, "cause", string(v.Cause))
	}
	if v.Previous != nil && v.Previous.BootID != "" {
		attrs = append(attrs, "previous_boot_id", v.Previous.BootID)
	}
	if len(v.Evidence) > 0 {
		last := v.Evidence[len(v.Evidence)-1]
		attrs = append(attrs, "evidence_cursor", last.Cursor, "evidence", last.Message)
	}
	if v.InWords != "" {
		attrs = append(attrs, "in_words", v.InWords)
	}
	if v.Unclean() {
		l.Warn("the last run ended badly; what was running is brought back", attrs...)
		return
	}
	l.Info("the last run ended in order", attrs...)
}

func logPlan(l *slog.Logger, rows []recover.Row) {
	starts, alone := 0, 0
	for _, row := range rows {
		if row.State.Pending() {
			starts++
		}
		if row.Alone {
			alone++
		}
	}
	l.Info("plan made", "MESSAGE_ID", recover.MsgPlan, "starts", starts, "alone", alone, "left_alone", len(rows)-starts)
	for _, row := range rows {
		if goesOn := row.State.NotRecovered() && len(row.Attempts) > 0; !row.State.Pending() && !goesOn {
			l.Info("left alone: "+row.Error, "MESSAGE_ID", recover.MsgLeftAlone,
				"container", row.Name, "tier", row.Tier, "state", string(row.State))
		}
	}
}

// logBook logs what became of a crash.
func logBook(l *slog.Logger, book recover.Casebook, boot string) {
	var noted []string
	for _, suspect := range book.Suspects {
		switch {
		case suspect.BootID != boot || boot == "":
		case suspect.Quarantined:
			l.Error("quarantined: "+suspect.Why(),
				"MESSAGE_ID", recover.MsgQuarantined, "container", suspect.Name, "strikes", suspect.Strikes)
		case suspect.Noted:
			noted = append(noted, suspect.Name)
		default:
			l.Warn("it was in flight when the host crashed; it is started last, with few others or alone",
				"MESSAGE_ID", recover.MsgSuspect, "container", suspect.Name, "strikes", suspect.Strikes)
		}
	}
	if len(noted) > 0 {
		l.Info("the host crashed while containers were being started; once, and without evidence, that changes nothing",
			"MESSAGE_ID", recover.MsgSuspect, "container", some(noted), "strikes", 1)
	}
	if note := book.Note(); note != "" && book.Judged == boot {
		l.Warn(note, "MESSAGE_ID", recover.MsgSuspect)
	}
}
