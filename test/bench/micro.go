package main

import (
	"os/exec"
	"strconv"
	"strings"
)

// microRow runs the benchmarks of the packages.
func microRow(b *bench, r *Result) {
	r.Title = "Micro-benchmarks"
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", ".", "-benchmem",
		"-count", strconv.Itoa(b.rounds), "-benchtime", "300ms",
		"./internal/recover", "./internal/control", "./internal/timeline", "./internal/units")
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("%v\n%s", err, out)
	}
	type figure struct{ name, unit string }
	figures := map[figure][]float64{}
	var order []figure
	for line := range strings.Lines(string(out)) {
		// BenchmarkName-2  100  123 ns/op  12 cpu-µs/container  456 B/op  7 allocs/op
		f := strings.Fields(line)
		if len(f) < 6 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(f[0], "Benchmark"), "-")
		for i := 2; i+1 < len(f); i += 2 {
			value, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				b.t.Fatalf("%q: %v", line, err)
			}
			is := figure{name, "ms"}
			switch unit := f[i+1]; unit {
			case "ns/op":
				value /= 1e6
			case "B/op":
				is, value = figure{name + ", allocated", "MB"}, value/1e6
			case "cpu-µs/container":
				is = figure{name + " containers on a simulated systemd: CPU of both, for each container", "µs"}
			default:
				continue
			}
			if figures[is] == nil {
				order = append(order, is)
			}
			figures[is] = append(figures[is], value)
		}
	}
	for _, is := range order {
		r.add(is.name, is.unit, figures[is])
	}
}
