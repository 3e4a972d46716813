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
	row := []any{"container", e.Row.Name, "unit", e.Row.Unit, "tier", e.Tier, "attempt", e.Row.Attempts}
	took := slog.Duration("took", e.Took.Round(time.Millisecond))
	switch e.Kind {
	case TierStarted:
		say(slog.LevelInfo, MsgTier, "tier starts", "tier", e.Tier)
	case TierSettled:
		say(slog.LevelInfo, MsgTier, "tier has settled", "tier", e.Tier)
	case TierLate:
		say(slog.LevelWarn, MsgTier, "tier has not settled by its deadline; later tiers go on beside it", "tier", e.Tier)
	case Starting:
		say(slog.LevelDebug, MsgStarting, "starting", row...)
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
