package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"archy-recovery/test/machine"
)

// flickerRow measures a grid that flickers: the recovery of 30 containers after the power failed
// once, and after it failed once or twice more while they were being brought back.
func flickerRow(b *bench, r *Result) {
	m := newMachine(b)
	r.With += tools(m)
	f := trivial()
	saved := saveCrash(b.t, m, f)
	plain := recoveryContender(b.t, m, f, saved)
	plain.prepare = func() { // nothing of the cuts of an earlier trial counts
		m.Remove(dataDir)
		saved.write(m, dataDir, 0)
	}
	random := rand.New(rand.NewPCG(22, 22)) // the same moments in each run
	contenders := []contender{plain}
	for _, more := range []int{1, 2} {
		c := plain
		c.name = fmt.Sprintf("%d more cuts", more)
		c.prepare = func() {
			plain.prepare()
			for range more {
				cutAfter(b.t, m, plain, random.IntN(len(f)-1)+1)
			}
		}
		contenders = append(contenders, c)
	}
	trials := compare(b, m, contenders...)
	r.Title = fmt.Sprintf("A power flicker: %d containers in %d tiers, and more cuts while they come back", len(f), tiers)
	once, again, twice := figures(trials[0], returned), figures(trials[1], returned), figures(trials[2], returned)
	r.claimAtMost("READY after one more cut, above 1.2 times a plain recovery", "≤ 5 s", "s", above(again, once, 1.2), 5)
	r.claimAtMost("READY after two more cuts, above a plain recovery", "≤ 60 s", "s", above(twice, once, 1), 60)
	r.draw("after one cut, READY", "s", once)
	r.draw("after one more cut, READY", "s", again)
	r.draw("after two more cuts, READY", "s", twice)
	r.note("A cut comes when a random number of the containers is ready. Those in flight then are suspects " +
		"only after two crashes, and start last: recovery.md has the rules. All 30 are up in the end of each trial.")
}

// above is by how much each figure is above a multiple of the one of the same round, 0 if it is below.
func above(figures, than []float64, times float64) (by []float64) {
	for i := range figures {
		by = append(by, max(0, figures[i]-times*than[i]))
	}
	return by
}

// cutAfter boots the machine, lets the contender start, and cuts the power when so many of its
// containers are ready.
func cutAfter(t machine.TB, m *machine.Machine, c contender, many int) {
	m.Boot()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := m.As(c.uid).RunContext(ctx, c.start...)
		ended <- err
	}()
	ready := map[string]time.Duration{}
	for began := time.Now(); len(ready) < many; time.Sleep(10 * time.Millisecond) { // a socket has no event
		if ctx.Err() != nil {
			t.Fatalf("only %d of %d are ready", len(ready), many)
		}
		recordReady(m, c.ready, ready, time.Since(began))
	}
	m.PullPlug()
	<-ended
}
