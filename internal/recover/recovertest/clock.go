package recovertest

import (
	"time"
	"unsafe"
)

// WallSet returns a moment of this process as it would be if the wall clock had been set
// by so many whole seconds less until then: only its wall clock differs, and not its
// monotonic clock. Package time has no other way to make one.
func WallSet(at time.Time, by time.Duration) time.Time {
	const nanosecondBits = 30 // of time.Time's first word; the seconds follow
	wall := (*uint64)(unsafe.Pointer(&at))
	*wall -= uint64(by/time.Second) << nanosecondBits
	return at
}
