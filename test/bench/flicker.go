package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"archy-recovery/test/machine"
)

// flickerRow measures a grid that flickers: the recovery of 30 containers after the power failed
// once, and after it failed once more while they were being brought back.
func flickerRow(b *bench, r *Result) {
	m := newMachine(b)
	r.With += tools(m)
	f := trivial()
	// Each trial begins and ends when all have lived longer than a soak. So nothing was in flight at its first cut.
	m.WriteFile(confFile, "[Recovery]\nSoakSec=10\n", 0o644, 0)
	const soaked = 15 * time.Second
	saved := saveRunning(b.t, m, startFleet(m, f), soaked)
	plain := recoveryContender(b.t, m, f, saved)
	plain.prepare = func() { // nothing of the cuts of an earlier trial counts
		m.Remove(dataDir)
		saved.write(m, dataDir, 0)
	}
	check := plain.check
	plain.check = func(began time.Time) { check(began); time.Sleep(soaked) }
	random := rand.New(rand.NewPCG(22, 22)) // the same moments in each run
	more := plain
	more.name = "one more cut"
	more.prepare = func() {
		plain.prepare()
		cutAfter(b.t, m, plain, random.IntN(len(f)-1)+1)
	}
	trials := compare(b, m, plain, more)
	r.Title = fmt.Sprintf("A power flicker: %d containers in %d tiers, and one more cut while they come back", len(f), tiers)
	once, again := figures(trials[0], returned), figures(trials[1], returned)
	r.claimAtMost("READY after one more cut, above 1.2 times a plain recovery", "≤ 5 s", "s", above(again, once, 1.2), 5)
	r.draw("after one cut, READY", "s", once)
	r.draw("after one more cut, READY", "s", again)
	r.note("The second cut comes when a random number of the containers is ready. Those in flight then are noted, " +
		"and start with the others: one crash makes no suspects. All 30 are up in the end of each trial. recovery.md " +
		"has the figures for more cuts in a row.")
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
