package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/test/machine"
)

// flickerRow measures a grid that flickers: the recovery of 30 containers after the power failed
// once, and after it failed once more while they were being brought back.
func flickerRow(b *bench, r *Result) {
	m := newMachine(b)
	r.With += tools(m)
	f := trivial()
	// Each trial waits for the end of a soak: the default one would take minutes more.
	m.WriteFile(confFile, "[Recovery]\nSoakSec=10\n", 0o644, 0)
	const soaked = 15 * time.Second
	saveRunning(b.t, m, startFleet(m, f), soaked)
	plain := recoveryContender(b.t, m, f, nil)
	// The state goes on from trial to trial, as it does on a host. Each begins when nothing is in flight, and
	// nothing is suspected.
	plain.prepare = nil
	plain.check = func(time.Time) {
		wantRecovered(b.t, m, len(f))
		time.Sleep(soaked)
		releaseSuspects(b, m)
	}
	plain.run(b.t, m)
	random := rand.New(rand.NewPCG(22, 22)) // the same moments in each run
	more := plain
	more.name = "one more cut"
	more.prepare = func() {
		cutAfter(b.t, m, plain, random.IntN(len(f)-1)+1)
	}
	trials := compare(b, m, plain, more)
	r.Title = fmt.Sprintf("A power flicker: %d containers in %d tiers, and one more cut while they come back",
		len(f), tiers)
	once, again := figures(trials[0], returned), figures(trials[1], returned)
	r.claimAtMost("READY after one more cut, above 1.2 times a plain recovery", "≤ 5 s", "s", above(again, once, 1.2), 5)
	r.draw("after one cut, READY", "s", once)
	r.draw("after one more cut, READY", "s", again)
	r.note("The second cut comes when a random number of the containers is ready. Those in flight then are noted, " +
		"and start with the others: one crash makes no suspects. All 30 are up in the end of each trial. recovery.md " +
		"has the figures for more cuts in a row.")
}

// releaseSuspects releases all that is suspected, as an operator would.
func releaseSuspects(b *bench, m *machine.Machine) {
	var q control.Quarantine
	if err := json.Unmarshal([]byte(m.MustRun("archy-recovery", "quarantine", "list", "--json")), &q); err != nil {
		b.t.Fatalf("quarantine list: %v", err)
	}
	for _, suspect := range q.Suspects {
		m.MustRun("archy-recovery", "quarantine", "release", suspect.Name)
	}
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
