package main

import (
	"os/exec"
	"strconv"
	"strings"
)

// microRow runs the benchmarks of the packages.
func microRow(b *bench, r *Result) {
	r.Title = "Micro-benchmarks"
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", ".", "-benchmem", "-count", strconv.Itoa(b.rounds), "-benchtime", "300ms",
		"./internal/recover", "./internal/control", "./internal/timeline")
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("%v\n%s", err, out)
	}
	times, memory := map[string][]float64{}, map[string][]float64{}
	var order []string
	for line := range strings.Lines(string(out)) {
		// BenchmarkName-2  100  123 ns/op  456 B/op  7 allocs/op
		f := strings.Fields(line)
		if len(f) < 6 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(f[0], "Benchmark"), "-")
		ns, err1 := strconv.ParseFloat(f[2], 64)
		bytes, err2 := strconv.ParseFloat(f[4], 64)
		if err1 != nil || err2 != nil {
			b.t.Fatalf("%q", line)
		}
		if times[name] == nil {
			order = append(order, name)
		}
		times[name], memory[name] = append(times[name], ns/1e6), append(memory[name], bytes/1e6)
	}
	for _, name := range order {
		r.add(name, "ms", times[name])
		r.add(name+", allocated", "MB", memory[name])
	}
}
