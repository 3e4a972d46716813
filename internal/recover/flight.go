package recover

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// A Flight knows which containers are in flight: from before their start until
// they have lived their soak. Their names are on disk before they are started,
// so that after a crash of the host the next boot knows whom to suspect.
type Flight struct {
	save func(names []string) error // durably; reports for itself what goes wrong
	// soaked is told of each container that has lived its soak.
	soaked func(name string)

	mu     sync.Mutex
	aboard map[string]*time.Timer // nil until landed
	flush  *time.Timer            // set while names on disk are out of date
	failed bool                   // they are, since they could not be written
	empty  chan struct{}          // closed while nobody is aboard
}

// flushWithin is how much later than its soak a name may leave the disk: those
// that have started side by side leave in one write.
const flushWithin = time.Second

func newFlight(save func([]string) error, soaked func(string)) *Flight {
	f := &Flight{save: save, soaked: soaked, aboard: map[string]*time.Timer{}, empty: make(chan struct{})}
	close(f.empty)
	return f
}

// Board writes down durably that names are about to be started, beside those
// that are in flight. It does not write what is written down.
func (f *Flight) Board(names ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.enter(names) {
		f.write()
	}
}

// Leave takes a container out of flight that was not started after all.
func (f *Flight) Leave(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, aboard := f.aboard[name]; aboard {
		f.leave(name)
	}
}

// Resume takes up those that a daemon before us, in the same boot, had in
// flight. They are on disk already, and their soak begins anew.
func (f *Flight) Resume(names []string, soak time.Duration) {
	f.mu.Lock()
	f.enter(names)
	f.mu.Unlock()
	for _, name := range names {
		f.Land(name, soak)
	}
}

// enter reports whether somebody came aboard who was not.
func (f *Flight) enter(names []string) (came bool) {
	for _, name := range names {
		if len(f.aboard) == 0 {
			f.empty = make(chan struct{})
		}
		timer, aboard := f.aboard[name]
		if timer != nil {
			timer.Stop()
		}
		f.aboard[name] = nil
		came = came || !aboard
	}
	return came
}

// Land says that the start of a container is over, well or not. It leaves the
// flight when it has lived soak from now.
func (f *Flight) Land(name string, soak time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if timer, aboard := f.aboard[name]; !aboard || timer != nil {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(soak, func() {
		f.mu.Lock()
		left := f.aboard[name] == timer // not boarded again meanwhile
		if left {
			f.leave(name)
		}
		f.mu.Unlock()
		if left {
			f.soaked(name)
		}
	})
	f.aboard[name] = timer
}

func (f *Flight) leave(name string) {
	delete(f.aboard, name)
	if len(f.aboard) == 0 {
		close(f.empty)
	}
	if f.flush == nil {
		f.flush = time.AfterFunc(flushWithin, func() {
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
	f.failed = f.save(slices.Sorted(maps.Keys(f.aboard))) != nil
}

// Retry writes what could not be written: else who has long lived its soak would
// be in flight on disk at some crash to come.
func (f *Flight) Retry() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed {
		f.write()
	}
}

// Empty is closed while nothing is in flight.
func (f *Flight) Empty() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.empty
}

// Close ends the flight in order: what happens from now on is nobody's fault.
func (f *Flight) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.aboard) == 0 && f.flush == nil && !f.failed {
		return
	}
	for name, timer := range f.aboard {
		if timer != nil {
			timer.Stop()
		}
		delete(f.aboard, name)
	}
	f.write()
}
