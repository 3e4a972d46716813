package daemon

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// A warningLog keeps the warnings with a message ID.
type warningLog struct {
	slog.Handler
	id   string
	said []string
}

func (w *warningLog) Enabled(context.Context, slog.Level) bool { return true }

func (w *warningLog) Handle(_ context.Context, r slog.Record) error {
	for a := range r.Attrs {
		if a.Value.String() == w.id && r.Level >= slog.LevelWarn {
			w.said = append(w.said, r.Message)
		}
	}
	return nil
}

// leftDownNotes are the notes on what this boot left down.
func leftDownNotes(s *Service) (notes []string) {
	st, _ := s.Status()
	for _, note := range st.Recovery.Notes {
		if strings.Contains(note, "before the shutdown") {
			notes = append(notes, note)
		}
	}
	return notes
}

// With CleanBoot=list, which is the default, a clean boot says what it leaves down, and what
// changes that. The note is about what is down now: on an Archy node another program starts
// the containers later.
func TestCleanBootLeavesDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost().Plain("a", "exited").Quadlet("b").Plain("files", "exited").Quadlet("stopped").
			Ran("a", "b", "files", "stopped", "gone")
		h.UserStopped = []string{"stopped"}
		h.Changes = make(chan struct{})
		p := recover.DefaultPolicy()
		p.CleanBootList = recover.Patterns{"files"}
		w, log := worldOf(h), &warningLog{Handler: slog.DiscardHandler, id: recover.MsgLeftDown}
		w.Log = slog.New(log)
		s := New(w, p, recovertest.Here)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		defer func() { stop(); <-ended }()
		look := func(change func()) {
			h.Set(change)
			h.Changes <- struct{}{}
			time.Sleep(time.Second) // of the bubble
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		const want = "2 containers ran before the shutdown and were not started: CleanBoot=list (a, b). " +
			"To start after each shutdown what ran before it: " +
			"install -D -m 644 /usr/share/doc/archy-recovery/examples/restore.conf -t /etc/archy-recovery.conf.d"
		if notes := leftDownNotes(s); len(notes) != 1 || notes[0] != want {
			t.Errorf("the notes are %q", notes)
		}
		if len(log.said) != 1 || log.said[0] != want {
			t.Errorf("the journal says %q", log.said)
		}
		look(func() { h.Plain("a", "running") })
		if notes := leftDownNotes(s); len(notes) != 1 || !strings.HasPrefix(notes[0],
			"1 container ran before the shutdown and was not started: CleanBoot=list (b). ") {
			t.Errorf("with a running, the notes are %q", notes)
		}
		look(func() { h.Plain("b", "running") })
		if notes := leftDownNotes(s); len(notes) > 0 {
			t.Errorf("with both running, the notes are %q", notes)
		}
		if len(log.said) != 1 {
			t.Errorf("the journal says %q", log.said)
		}
	})
}

// Nothing is said of what something else starts at boot, of what is on its way, nor when the
// operator has chosen.
func TestCleanBootLeavesNothingDown(t *testing.T) {
	twoDown := func() *recovertest.Host {
		return recovertest.NewHost().Quadlet("a").Plain("b", "exited").Ran("a", "b")
	}
	for name, c := range map[string]struct {
		host   *recovertest.Host
		policy func(*recover.Policy)
		others fakeAutostart
	}{
		"the policy restores": {
			host: twoDown(), policy: func(p *recover.Policy) { p.CleanBoot = recover.CleanBootRestore },
		},
		"recovery is turned off": {host: twoDown(), policy: func(p *recover.Policy) { p.Mode = recover.ModeOff }},
		"others start them": {host: twoDown(), others: fakeAutostart{enabled: true, targets: []string{"a.service"},
			always: map[string]bool{"b": true}}},
		"they could not be recovered before": {host: func() *recovertest.Host {
			h := twoDown()
			for i := range h.Snapshot.Containers {
				h.Snapshot.Containers[i].Unrecovered = true
			}
			return h
		}()},
		"they are on their way, or run": {host: func() *recovertest.Host {
			h := twoDown().Plain("b", "running")
			h.States["a.service"] = recover.UnitState{Loaded: true, Active: "activating"}
			return h
		}()},
		"the host crashed": {host: func() *recovertest.Host {
			h := twoDown()
			h.Marker = recovertest.Crashed
			return h
		}()},
		"the service was restarted": {host: func() *recovertest.Host {
			h := twoDown()
			h.Snapshot.BootID = recovertest.Here.BootID
			return h
		}()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := recover.DefaultPolicy()
				if c.policy != nil {
					c.policy(&p)
				}
				w := worldOf(c.host)
				w.Autostart = c.others
				s := New(w, p, recovertest.Here)
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- s.Run(ctx) }()
				time.Sleep(time.Minute)
				synctest.Wait()
				if st, _ := s.Status(); st.State != recover.Ready {
					t.Errorf("the state is %s", st.State)
				}
				if notes := leftDownNotes(s); len(notes) > 0 {
					t.Errorf("the notes are %q", notes)
				}
				stop()
				<-ended
			})
		})
	}
}
