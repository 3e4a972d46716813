package units

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRecovery recovers so many containers, with a make-believe systemd on
// a real bus: what a container costs should not depend on how many there are.
// Both sides of the bus are in the CPU time, the bus is not.
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

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
