package engine

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"

	"github.com/google/go-cmp/cmp"
)

// A mountStarter starts a row when its mount has come. The mounts come at their own times.
type mountStarter struct {
	unitStarter
	needs map[string]string        // container -> mount point
	comes map[string]chan struct{} // closed when it is mounted
}

func (s mountStarter) Start(ctx context.Context, row recover.Row) (recover.Outcome, error) {
	if point := s.needs[row.Name]; point != "" {
		select {
		case <-s.comes[point]:
		default:
			return recover.Outcome{}, &NotMounted{Points: []string{point}}
		}
	}
	return s.unitStarter.Start(ctx, row)
}

func (s mountStarter) AwaitMounts(ctx context.Context, points []string) error {
	select {
	case <-s.comes[points[0]]:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// When a mount comes late, what has waited for it starts tier by tier, also if all tiers had
// their turn before.
func TestLateMountStartsInOrder(t *testing.T) {
	slow := recovertest.UpAfter(3 * time.Second)
	for name, c := range map[string]struct {
		comes  map[string]time.Duration
		needs  string // container:mount
		behave map[string]recovertest.Behavior
		want   string
	}{
		"each waits for the one below": {
			comes: map[string]time.Duration{"/a": 10 * time.Minute}, needs: "db:/a app:/a web:/a",
			behave: map[string]recovertest.Behavior{"db": slow, "app": slow},
			want:   "600.0 db, 603.0 app, 606.0 web",
		},
		"one that fails first does not hold up the others": {
			comes: map[string]time.Duration{"/a": 10 * time.Minute}, needs: "db:/a app:/a web:/a",
			behave: map[string]recovertest.Behavior{"db": recovertest.WorksAt(2)},
			want:   "600.0 db, 600.0 app, 600.0 web, 610.0 db",
		},
		"one that hangs gives way at the tier's deadline": {
			comes: map[string]time.Duration{"/a": 10 * time.Minute}, needs: "db:/a app:/a web:/a",
			behave: map[string]recovertest.Behavior{"db": recovertest.UpAfter(100 * time.Second)},
			want:   "600.0 db, 630.0 app, 630.0 web",
		},
		"another mount is not waited for": {
			comes: map[string]time.Duration{"/a": 12 * time.Minute, "/b": 10 * time.Minute}, needs: "db:/a app:/b web:/b",
			behave: map[string]recovertest.Behavior{"app": slow},
			want:   "600.0 app, 603.0 web, 720.0 db",
		},
		"while the tiers still begin": {
			comes: map[string]time.Duration{"/a": 45 * time.Second}, needs: "db:/a app:/a web:/a",
			behave: map[string]recovertest.Behavior{"db": slow, "app": slow},
			want:   "45.0 db, 48.0 app, 51.0 web",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := recovertest.NewHost()
				for name, behavior := range c.behave {
					h.Start[name+".service"] = behavior
				}
				s := mountStarter{unitStarter{h}, map[string]string{}, map[string]chan struct{}{}}
				for _, word := range strings.Fields(c.needs) {
					container, point, _ := strings.Cut(word, ":")
					s.needs[container] = point
				}
				for point, after := range c.comes {
					mounted := make(chan struct{})
					s.comes[point] = mounted
					time.AfterFunc(after, func() { close(mounted) })
				}
				p := oncePolicy()
				p.Deadline, p.TierDeadline = time.Hour, 30*time.Second
				history, _, err := playLives(t.Context(), s, h, p, recovertest.Rows("db:0 app:1 web:4"), func(Event) {})
				if err != nil {
					t.Fatal(err)
				}
				var starts []string
				for _, line := range history {
					at, what, _ := strings.Cut(strings.TrimSpace(line), " ")
					if container, is := strings.CutPrefix(what, "starting "); is && len(at) > 3 { // not the first tries
						container, _, _ = strings.Cut(container, " ")
						starts = append(starts, at+" "+container)
					}
				}
				got := strings.Join(starts, ", ")
				if i := strings.Index(c.want, " "); i > 0 {
					if from := strings.Index(got, c.want[:i]); from > 0 {
						got = got[from:] // before, each was tried once
					}
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("starts (-want +got):\n%s\n%s", diff, strings.Join(history, "\n"))
				}
			})
		})
	}
}
