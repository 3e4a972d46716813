package engine

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// A networkStarter starts units on a host whose network comes at some time, or never.
type networkStarter struct {
	*lifeStarter
	needs   map[string]bool // names that need the network
	offline map[string]bool // names whose order after the network is ignored
}

// newNetworkStarter returns a starter whose network comes after comes, or never with 0.
func newNetworkStarter(h *recovertest.Host, comes time.Duration) *networkStarter {
	h.Offline = make(chan struct{})
	if comes > 0 {
		time.AfterFunc(comes, func() { close(h.Offline) })
	}
	return &networkStarter{newLifeStarter(h), map[string]bool{}, map[string]bool{}}
}

func (s *networkStarter) up() bool {
	state, _ := recovertest.Systemd{H: s.h}.NetworkState(context.Background())
	return state == recover.NetworkUp
}

func (s *networkStarter) Start(ctx context.Context, row recover.Row) (recover.Outcome, error) {
	if s.needs[row.Name] && !s.up() {
		return recover.Outcome{}, &NotOnline{Why: "it says so"}
	}
	offline := s.offline[row.Name] && !s.up()
	o, err := s.lifeStarter.Start(ctx, row)
	o.Offline = offline
	return o, err
}

// online works while the network is there only.
func (s *networkStarter) online(context.Context, int) (recover.Outcome, error) {
	if s.up() {
		return recovertest.Up, nil
	}
	return recovertest.Failed, nil
}

func TestNetwork(t *testing.T) {
	type play struct {
		*networkStarter
		h    *recovertest.Host
		rows []recover.Row
		p    recover.Policy
	}
	for name, c := range map[string]struct {
		rows    string
		comes   time.Duration
		prepare func(*play)
		want    []string
		swap    *strings.Replacer // of two rows that the network wakes at one moment
	}{
		"a late network delays neither a tier nor a container that does not need it": {
			rows: "db:0 app:1", comes: 20 * time.Second,
			prepare: func(p *play) { p.needs["db"] = true },
			want: []string{
				"  0.0 starting db 1", "  0.0 waiting db 0", "  0.0 starting app 1", "  0.0 up app 1",
				" 20.0 starting db 1", " 20.0 up db 1", " 20.0 READY", " 40.0 end",
			},
		},
		"READY waits for it once, and not once a container": {
			rows: "db:0 app:1 web:2", comes: 100 * time.Second,
			prepare: func(p *play) { p.needs["db"], p.needs["web"] = true, true },
			want: []string{
				"  0.0 starting db 1", "  0.0 waiting db 0", "  0.0 starting app 1", "  0.0 up app 1",
				"  0.0 starting web 1", "  0.0 waiting web 0",
				" 90.0 no-network db 0", " 90.0 no-network web 0", " 90.0 READY",
				"100.0 starting db 1", "100.0 starting web 1", "100.0 up db 1", "100.0 up web 1", "120.0 end",
			},
		},
		"READY does not wait at all": {
			rows: "db:0", comes: 1000 * time.Second,
			prepare: func(p *play) { p.needs["db"] = true; p.p.NetworkWait = 0 },
			want: []string{"  0.0 starting db 1", "  0.0 waiting db 0", "  0.0 no-network db 0", "  0.0 READY",
				"1000.0 starting db 1", "1000.0 up db 1", "1020.0 end"},
		},
		"the deadline comes first": {
			rows: "db:0 hung:0", comes: 30 * time.Second,
			prepare: func(p *play) {
				p.needs["db"] = true
				p.p.Deadline = 10 * time.Second
				p.h.Start["hung.service"] = recovertest.Hangs
			},
			want: []string{"  0.0 starting db 1", "  0.0 starting hung 1", "  0.0 waiting db 0",
				" 10.0 no-network db 0", " 10.0 gave-up hung 1", " 10.0 READY",
				" 30.0 starting db 1", " 30.0 up db 1", " 50.0 end"},
		},
		"a start without it that fails is no attempt": {
			rows: "db:0 app:1", comes: 20 * time.Second,
			prepare: func(p *play) {
				p.offline["db"] = true
				p.h.Start["db.service"] = func(_ context.Context, attempt int) (recover.Outcome, error) {
					if attempt < 3 {
						return recovertest.Failed, nil
					}
					return recovertest.Up, nil
				}
			},
			want: []string{
				"  0.0 starting db 1", "  0.0 waiting db 1", "  0.0 starting app 1", "  0.0 up app 1",
				" 20.0 starting db 2", " 20.0 attempt-failed db 2", " 30.0 starting db 3", " 30.0 up db 3",
				" 30.0 READY", " 50.0 end",
			},
		},
		"a container that was started without it falls": {
			rows: "db:0 app:1", comes: 20 * time.Second,
			prepare: func(p *play) {
				p.offline["db"], p.needs["app"] = true, true
				p.then("db", []moment{ended(1, 1)}, nil)
			},
			want: []string{
				"  0.0 starting db 1", "  0.0 up db 1", "  0.0 starting app 1", "  0.0 waiting app 0",
				"  1.0 attempt-failed db 1", "  1.0 waiting db 1",
				" 20.0 starting db 2", " 20.0 starting app 1", " 20.0 up app 1", " 20.0 up db 2", " 20.0 READY", " 40.0 end",
			},
		},
		"podman says that a start failed for want of it": {
			rows: "db:0", comes: 20 * time.Second,
			prepare: func(p *play) {
				p.h.Start["db.service"] = p.online
				p.explain = func(ctx context.Context, _ recover.Row) recover.Explanation {
					Sleep(ctx, time.Second)
					return recover.Explanation{Reason: "pull-dns", NeedsNetwork: true}
				}
			},
			want: []string{
				"  0.0 starting db 1", "  0.0 attempt-failed db 1", "  1.0 explained db 1", "  1.0 waiting db 1",
				" 20.0 starting db 2", " 20.0 up db 2", " 20.0 READY", " 40.0 end",
			},
		},
		"a container that needs one that waits, waits along": {
			rows: "db:0 app:1 web:2", comes: 100 * time.Second,
			prepare: func(p *play) {
				p.needs["db"] = true
				needy := func(context.Context, int) (recover.Outcome, error) {
					if p.up() {
						return recovertest.Up, nil
					}
					return needs("db.service"), nil
				}
				p.h.Start["app.service"] = needy
				p.h.Start["web.service"] = func(ctx context.Context, attempt int) (recover.Outcome, error) {
					Sleep(ctx, 95*time.Second) // READY has let db go meanwhile
					return needy(ctx, attempt)
				}
			},
			want: []string{
				"  0.0 starting db 1", "  0.0 waiting db 0", "  0.0 starting app 1", "  0.0 waiting app 1",
				"  0.0 starting web 1", " 90.0 no-network db 0", " 90.0 no-network app 1",
				" 95.0 waiting web 1", " 95.0 no-network web 1", " 95.0 READY",
				"100.0 starting db 1", "100.0 starting app 2", "100.0 starting web 2", "100.0 up db 1", "100.0 up app 2",
				"195.0 up web 2", "215.0 end",
			},
		},
		"a suspect does not hold up the next, and both are alone when the network comes": {
			rows: "a:0 b:0 c:0", comes: 100 * time.Second,
			prepare: func(p *play) {
				for i := range p.rows {
					p.rows[i].Alone, p.rows[i].Group = true, i+1
				}
				p.needs["a"], p.needs["b"] = true, true
			},
			want: []string{
				"  0.0 starting a 1", "  0.0 waiting a 0", "  0.0 starting b 1", "  0.0 waiting b 0",
				"  0.0 starting c 1", "  0.0 up c 1",
				" 90.0 no-network a 0", " 90.0 no-network b 0", " 90.0 READY",
				"100.0 starting a 1", "100.0 up a 1", "120.0 starting b 1", "120.0 up b 1", "140.0 end",
			},
			swap: strings.NewReplacer("100.0 starting b", "100.0 starting a", "100.0 up b", "100.0 up a",
				"120.0 starting a", "120.0 starting b", "120.0 up a", "120.0 up b"),
		},
		"it is not known whether it comes": {
			rows: "db:0", comes: 15 * time.Second,
			prepare: func(p *play) { p.needs["db"] = true; p.h.NetworkErr = recovertest.ErrBroken },
			want: []string{
				"  0.0 starting db 1", "  0.0 waiting db 0", " 10.0 starting db 1", " 10.0 waiting db 0",
				" 20.0 starting db 1", " 20.0 up db 1", " 20.0 READY", " 40.0 end",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := recovertest.NewHost()
				p := &play{newNetworkStarter(h, c.comes), h, recovertest.Rows(c.rows), oncePolicy()}
				c.prepare(p)
				got, rows, err := playLives(t.Context(), p, h, p.p, p.rows, func(Event) {})
				if err != nil {
					t.Fatal(err)
				}
				// What happens at one moment has no order.
				if c.swap != nil {
					for i, line := range got {
						got[i] = c.swap.Replace(line)
					}
				}
				slices.Sort(c.want)
				slices.Sort(got)
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("history (-want +got):\n%s", diff)
				}
				for name, row := range rows {
					for _, w := range row.Waits {
						if w.Ended.IsZero() {
							t.Errorf("%s still waits in the report", name)
						}
					}
				}
			})
		})
	}
}

// Without a network READY comes, and the run ends when it is told to.
func TestNetworkNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := recovertest.NewHost()
		s := newNetworkStarter(h, 0)
		s.needs["db"] = true
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		got, rows, err := playLives(ctx, s, h, oncePolicy(), recovertest.Rows("db:0 app:1"), func(Event) {})
		want := []string{
			"  0.0 starting db 1", "  0.0 waiting db 0", "  0.0 starting app 1", "  0.0 up app 1",
			" 90.0 no-network db 0", " 90.0 READY", "86400.0 end",
		}
		if diff := cmp.Diff(want, got); diff != "" || err == nil {
			t.Errorf("%v; history (-want +got):\n%s", err, diff)
		}
		if row := rows["db"]; row.State != recover.RowNoNetwork || row.Error != "waits for the network: it says so" {
			t.Errorf("db is %s: %s", row.State, row.Error)
		}
	})
}
