package engine

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

func TestPace(t *testing.T) {
	began := time.Time{}
	suffering := func(share float64, of func(*recover.Stalls) *time.Duration) func() (recover.Stalls, error) {
		return func() (s recover.Stalls, err error) {
			*of(&s) = time.Duration(share * float64(time.Since(began)))
			return s, nil
		}
	}
	memory := func(s *recover.Stalls) *time.Duration { return &s.Memory }
	disk := func(s *recover.Stalls) *time.Duration { return &s.IO }
	for name, c := range map[string]struct {
		stalls func() (recover.Stalls, error)
		most   int
		want   string // starts, by the tenth of a second
	}{
		"grows while the host is idle":            {nil, 32, "4@0 4@1 4@2"},
		"but not beyond its bound":                {nil, 6, "4@0 2@1 4@10 2@11"},
		"one at a time is possible":               {nil, 1, "1@0 1@10 1@20 1@30 1@40 1@50 1@60 1@70 1@80 1@90 1@100 1@110"},
		"does not grow while memory is short":     {suffering(0.2, memory), 32, "4@0 4@10 4@20"},
		"nor while the disk is":                   {suffering(0.5, disk), 32, "4@0 4@10 4@20"},
		"a busy disk is not yet one that suffers": {suffering(0.3, disk), 32, "4@0 4@1 4@2"},
		"is fixed where the kernel does not tell": {
			func() (recover.Stalls, error) { return recover.Stalls{}, recovertest.ErrBroken }, 32, "4@0 4@10 4@20",
		},
		"does not grow while the kernel cannot be asked": {func() (recover.Stalls, error) {
			if time.Since(began) > 0 {
				return recover.Stalls{}, recovertest.ErrBroken
			}
			return recover.Stalls{Memory: time.Hour}, nil
		}, 32, "4@0 4@10 4@20"},
		"and then keeps to its bound all the same": {
			func() (recover.Stalls, error) { return recover.Stalls{}, recovertest.ErrBroken }, 3, "3@0 3@10 3@20 3@30",
		},
		"goes on growing when the host has relaxed": {func() (s recover.Stalls, _ error) {
			s.Memory = min(time.Since(began), 250*time.Millisecond)
			return s, nil
		}, 32, "4@0 4@4 4@5"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began = time.Now()
				h := recovertest.NewHost()
				h.Stalls = c.stalls
				var words []string
				for i := range 12 {
					name := fmt.Sprintf("c%02d", i)
					h.Start[name+".service"] = recovertest.UpAfter(time.Second)
					words = append(words, name+":0")
				}
				p := oncePolicy()
				p.MinParallel, p.MaxParallel = 4, c.most
				starts, order := map[int64]int{}, []int64{}
				_, err := playTo(t.Context(), h, p, recovertest.Rows(strings.Join(words, " ")), func(e Event) {
					if e.Kind != Starting {
						return
					}
					at := time.Since(began).Milliseconds() / 100
					if starts[at]++; starts[at] == 1 {
						order = append(order, at)
					}
				})
				var got []string
				for _, at := range order {
					got = append(got, fmt.Sprintf("%d@%d", starts[at], at))
				}
				if strings.Join(got, " ") != c.want || err != nil {
					t.Errorf("%q, %v, want %q", strings.Join(got, " "), err, c.want)
				}
			})
		})
	}
}
