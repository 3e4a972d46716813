package recover

import (
	"context"
	"log/slog"
	"time"
)

// log tells the journal an event. Attributes become journal fields.
func log(l *slog.Logger, e Event) {
	say := func(level slog.Level, id, text string, attrs ...any) {
		l.Log(context.Background(), level, text, append([]any{"MESSAGE_ID", id}, attrs...)...)
	}
	row := []any{"container", e.Row.Name, "unit", e.Row.Unit, "tier", e.Tier, "attempt", len(e.Row.Attempts)}
	took := slog.Duration("took", lastAttempt(e.Row).Round(time.Millisecond))
	switch e.Kind {
	case TierStarted:
		say(slog.LevelInfo, MsgTier, "tier starts", "tier", e.Tier)
	case TierSettled:
		say(slog.LevelInfo, MsgTier, "tier has settled", "tier", e.Tier)
	case TierLate:
		say(slog.LevelWarn, MsgTier, "tier has not settled by its deadline; later tiers go on beside it", "tier", e.Tier)
	case Starting:
		if e.Row.Alone {
			say(slog.LevelInfo, MsgProbation, "starting alone", append(row, "strikes", e.Row.Strikes)...)
			return
		}
		say(slog.LevelDebug, MsgStarting, "starting", row...)
	case Waiting:
		say(slog.LevelWarn, MsgWaiting, e.Row.Error, row...)
	case Up:
		say(slog.LevelInfo, MsgUp, "up", append(row, took)...)
	case AttemptFailed:
		say(slog.LevelWarn, MsgAttemptFailed, "start failed, to be tried once more", append(row, took, slog.String("error", e.Row.Error))...)
	case GaveUp:
		say(slog.LevelError, MsgGaveUp, "not recovered", append(row, took, slog.String("error", e.Row.Error))...)
	case Skipped, Deferred:
		say(slog.LevelInfo, MsgLeftAlone, "left to systemd: "+e.Row.Error, row...)
	}
}

// lastAttempt is how long a row's last attempt lasted.
func lastAttempt(row Row) time.Duration {
	n := len(row.Attempts)
	if n == 0 || row.Attempts[n-1].Ended.IsZero() {
		return 0
	}
	return row.Attempts[n-1].Ended.Sub(row.Attempts[n-1].Started)
}

func logVerdict(l *slog.Logger, v Verdict) {
	attrs := []any{"MESSAGE_ID", MsgVerdict, "verdict", string(v.Ending), "reason", v.Reason}
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
	if v.Unclean() {
		l.Warn("the last run ended badly; what was running is brought back", attrs...)
		return
	}
	l.Info("the last run ended in order", attrs...)
}

func logPlan(l *slog.Logger, rows []Row) {
	starts, alone := 0, 0
	for _, row := range rows {
		if row.State.Pending() {
			starts++
		}
		if row.Alone {
			alone++
		}
	}
	l.Info("plan made", "MESSAGE_ID", MsgPlan, "starts", starts, "alone", alone, "left_alone", len(rows)-starts)
	for _, row := range rows {
		if !row.State.Pending() {
			l.Info("left alone: "+row.Error, "MESSAGE_ID", MsgLeftAlone,
				"container", row.Name, "tier", row.Tier, "state", string(row.State))
		}
	}
}

func logSuspect(l *slog.Logger, suspect Suspect) {
	if suspect.Quarantined {
		l.Error("quarantined: "+suspect.Why(), "MESSAGE_ID", MsgQuarantined, "container", suspect.Name, "strikes", suspect.Strikes)
		return
	}
	l.Warn("it was in flight when the host crashed; it is started last, alone", "MESSAGE_ID", MsgSuspect,
		"container", suspect.Name, "strikes", suspect.Strikes)
}
