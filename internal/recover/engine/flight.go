package engine

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// A Flight keeps the names of the containers that are in flight: from before
// their start until their soak is over. The names are on disk before the start,
// so that after a crash of the host the next boot knows which are suspects.
type Flight struct {
	save func(names []string) error // durably; reports its errors itself
	// soaked is told of each container whose soak is over.
	soaked func(name string)

	mu       sync.Mutex
	inFlight map[string]*time.Timer // the soak, nil until that begins
	flush    *time.Timer            // set while the names on disk are out of date
	failed   bool                   // they are, since they could not be written
	empty    chan struct{}          // closed while nothing is in flight
	waiters  []flightWaiter
}

// A flightWaiter waits until none of its names is in flight.
type flightWaiter struct {
	names []string
	done  chan struct{}
}

// FlushWithin is how much later than its soak a name may leave the disk: the
// names of containers that were started side by side leave in one write.
const FlushWithin = time.Second

// NewFlight returns an empty flight. save writes the names down durably; soaked
// is told of each container whose soak is over.
func NewFlight(save func(names []string) error, soaked func(name string)) *Flight {
	f := &Flight{save: save, soaked: soaked, inFlight: map[string]*time.Timer{}, empty: make(chan struct{})}
	close(f.empty)
	return f
}

// Add writes down durably that names are about to be started, beside those that
// are in flight. It does not write again what is on disk already.
func (f *Flight) Add(names ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.add(names) {
		f.write()
	}
}

// Cancel takes a container out of flight that was not started after all.
func (f *Flight) Cancel(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.inFlight[name]; known {
		f.remove(name)
	}
}

// Resume takes over the names that an earlier daemon of this boot had in flight.
// They are on disk already, and their soak begins anew.
func (f *Flight) Resume(names []string, soak time.Duration) {
	f.mu.Lock()
	f.add(names)
	f.mu.Unlock()
	for _, name := range names {
		f.Soak(name, soak)
	}
}

// add reports whether one of the names was not in flight before.
func (f *Flight) add(names []string) (added bool) {
	for _, name := range names {
		if len(f.inFlight) == 0 {
			f.empty = make(chan struct{})
		}
		timer, known := f.inFlight[name]
		if timer != nil {
			timer.Stop()
		}
		f.inFlight[name] = nil
		added = added || !known
	}
	return added
}

// Soak begins the soak of a container, whose start has ended, well or not. It
// leaves the flight after soak.
func (f *Flight) Soak(name string, soak time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if timer, known := f.inFlight[name]; !known || timer != nil {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(soak, func() {
		f.mu.Lock()
		ended := f.inFlight[name] == timer // it was not added again meanwhile
		if ended {
			f.remove(name)
		}
		f.mu.Unlock()
		if ended {
			f.soaked(name)
		}
	})
	f.inFlight[name] = timer
}

func (f *Flight) remove(name string) {
	delete(f.inFlight, name)
	if len(f.inFlight) == 0 {
		close(f.empty)
	}
	f.wake()
	if f.flush == nil {
		f.flush = time.AfterFunc(FlushWithin, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.flush != nil {
				f.write()
			}
		})
	}
}

// write brings the disk up to date.
func (f *Flight) write() {
	if f.flush != nil {
		f.flush.Stop()
		f.flush = nil
	}
	f.failed = f.save(slices.Sorted(maps.Keys(f.inFlight))) != nil
}

// Retry writes the names if the last write failed. Otherwise a container whose
// soak ended long ago would be a suspect after a later crash.
func (f *Flight) Retry() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed {
		f.write()
	}
}

// Empty returns a channel that is closed while nothing is in flight.
func (f *Flight) Empty() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.empty
}

// Without returns a channel that is closed once none of the names is in flight.
func (f *Flight) Without(names ...string) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := flightWaiter{names, make(chan struct{})}
	f.waiters = append(f.waiters, w)
	f.wake()
	return w.done
}

// wake tells those that need not wait any longer. Called with mu held.
func (f *Flight) wake() {
	f.waiters = slices.DeleteFunc(f.waiters, func(w flightWaiter) bool {
		waits := slices.ContainsFunc(w.names, func(name string) bool {
			_, inFlight := f.inFlight[name]
			return inFlight
		})
		if !waits {
			close(w.done)
		}
		return !waits
	})
}

// Close ends the flight at a stop in order: a crash from now on makes no
// suspects.
func (f *Flight) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.inFlight) == 0 && f.flush == nil && !f.failed {
		return
	}
	for name, timer := range f.inFlight {
		if timer != nil {
			timer.Stop()
		}
		delete(f.inFlight, name)
	}
	f.write()
}
