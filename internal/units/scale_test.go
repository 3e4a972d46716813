package units

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRecovery recovers up to 10,000 containers, with a fake systemd on a real bus. The cost of a container
// should not depend on their number. The CPU time has both sides of the bus, but not the bus itself.
func BenchmarkRecovery(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newSite(b, n, 0)
			s.policy.MinParallel, s.policy.MaxParallel = 32, 32
			before := cpu(b)
			for b.Loop() {
				s.recover(nil)
			}
			each := float64(b.N * n)
			b.ReportMetric(float64(cpu(b)-before)/each/float64(time.Microsecond), "cpu-µs/container")
			b.ReportMetric(float64(b.Elapsed())/each/float64(time.Microsecond), "µs/container")
		})
	}
}

// cpu returns the CPU time of this process.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
