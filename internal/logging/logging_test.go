package logging

import (
	"log/slog"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/google/go-cmp/cmp"
)

type entry struct {
	Message  string
	Priority journal.Priority
	Fields   map[string]string
}

func TestHandler(t *testing.T) {
	for name, c := range map[string]struct {
		say  func(*slog.Logger)
		want []entry
	}{
		"attributes": {
			func(l *slog.Logger) { l.Info("up", "MESSAGE_ID", "abc", "container", "db", "took", 3*time.Second) },
			[]entry{{"up container=db took=3s", journal.PriInfo,
				map[string]string{"MESSAGE_ID": "abc", "CONTAINER": "db", "TOOK": "3s"}}},
		},
		"priorities": {
			func(l *slog.Logger) { l.Error("e"); l.Warn("w") },
			[]entry{{"e", journal.PriErr, map[string]string{}}, {"w", journal.PriWarning, map[string]string{}}},
		},
		"below the level": {
			func(l *slog.Logger) { l.Debug("d") }, nil,
		},
		"names that journald refuses": {
			func(l *slog.Logger) { l.Info("x", "_9tier no.", 4, "üß", 1) },
			[]entry{{"x _9tier no.=4 üß=1", journal.PriInfo, map[string]string{"TIER_NO_": "4", "FIELD": "1"}}},
		},
		"groups": {
			func(l *slog.Logger) { l.With("uid", 7).WithGroup("peer").Info("x", "pid", 3, slog.Group("g", "a", 1)) },
			[]entry{{"x uid=7 peer_pid=3 peer_g_a=1", journal.PriInfo,
				map[string]string{"UID": "7", "PEER_PID": "3", "PEER_G_A": "1"}}},
		},
		"values with blanks": {
			func(l *slog.Logger) { l.Info("x", "error", "no such file") },
			[]entry{{`x error="no such file"`, journal.PriInfo, map[string]string{"ERROR": "no such file"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []entry
			send := func(message string, p journal.Priority, fields map[string]string) error {
				got = append(got, entry{message, p, fields})
				return nil
			}
			c.say(slog.New(NewHandler(slog.LevelInfo, send)))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}
