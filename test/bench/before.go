package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"

	"archy-recovery/test/machine"
)

// binary is the program as the package installs it.
const binary = "/usr/bin/archy-recovery"

// beforeRow compares the package's program with another one, such as that of an
// earlier commit (-before), on one machine and by turns.
func beforeRow(b *bench, r *Result) {
	r.Title = "This program against the one given with -before, 30 trivial containers"
	if b.before == "" {
		b.t.Fatalf("the row before needs -before PROGRAM")
	}
	program, err := os.ReadFile(b.before)
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	f := trivial()
	m := newMachine(b)
	r.With += tools(m)
	saved := saveCrash(b.t, m, f)
	installed, err := m.ReadFile(binary)
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	now := withProgram(m, recoveryContender(b.t, m, f, saved), "archy-recovery", installed)
	before := withProgram(m, recoveryContender(b.t, m, f, saved), "the one before", string(program))
	var first [2]phases
	first[0].watch(b.t, m, &now)
	first[1].watch(b.t, m, &before)
	trials := compare(b, m, now, before)
	took := [][]float64{figures(trials[0], returned), figures(trials[1], returned)}
	ratio := ratios(took[0], took[1])
	low, high := interval(ratio)
	r.claimAtMost(r.Title+", crash to READY, lower end of the 95 % interval", "≤ 1.03", "", []float64{low}, 1.03)
	r.add("ratio, pair by pair", "", ratio)
	r.add("archy-recovery, READY", "s", took[0])
	r.add("the one before, READY", "s", took[1])
	r.add("archy-recovery, until its first start", "s", first[0].first)
	r.add("the one before, until its first start", "s", first[1].first)
	r.note(fmt.Sprintf("The 95 %% interval of the geometric mean is %.3f to %.3f.", low, high))
}

// withProgram returns the contender with another program in place of the package's.
func withProgram(m *machine.Machine, c contender, name, program string) contender {
	c.name = name
	prepare := c.prepare
	c.prepare = func() {
		prepare()
		m.WriteFile(binary, program, 0o755, 0)
	}
	return c
}

// interval returns the 95 % interval of the geometric mean of ratios, by drawing
// them anew 10,000 times.
func interval(ratios []float64) (low, high float64) {
	const draws = 10_000
	rnd := rand.New(rand.NewPCG(1, 2))
	means := make([]float64, draws)
	for i := range means {
		var sum float64
		for range ratios {
			sum += math.Log(ratios[rnd.IntN(len(ratios))])
		}
		means[i] = math.Exp(sum / float64(len(ratios)))
	}
	slices.Sort(means)
	return means[draws*25/1000], means[draws*975/1000]
}
