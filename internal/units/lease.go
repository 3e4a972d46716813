package units

import (
	"sync"
	"time"
)

// A lease counts the users of a connection that several share. It ends that a while after the last of them has
// left. Its methods are called with the lock held that guards the connection.
type lease struct {
	users  int
	linger *time.Timer
}

// take begins a use.
func (l *lease) take() {
	l.users++
	l.stop()
}

// leave ends a use. Without another one in the meantime end is called later, with the lock held.
func (l *lease) leave(lock sync.Locker, later time.Duration, end func()) {
	if l.users--; l.users > 0 {
		return
	}
	l.linger = time.AfterFunc(later, func() {
		lock.Lock()
		defer lock.Unlock()
		if l.users == 0 {
			end()
		}
	})
}

// stop has the connection not end later.
func (l *lease) stop() {
	if l.linger != nil {
		l.linger.Stop()
	}
}
