//go:build race

package engine

import "runtime"

// The race detector of Go 1.26 crashes, once in some dozen runs of these tests,
// where the timers of a bubble of testing/synctest run on two threads at once
// (golang/go#78156 may be the same). With one thread at a time it was not seen to, and
// what it looks for, accesses that nothing orders, it finds all the same.
func init() { runtime.GOMAXPROCS(1) }
