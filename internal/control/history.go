package control

import (
	"sync"

	"archy-recovery/internal/recover"
)

// A historyCache keeps the history as last read, so that a scrape of the
// metrics does not read a hundred files each time.
type historyCache struct {
	mu      sync.Mutex
	reports []recover.Report
	changed <-chan struct{} // closed when reports may be out of date
}

// read returns the history. It calls load only if changed is not the channel of
// the last read. The caller gets changed from the service before the call: a
// report that is saved meanwhile then closes it.
func (h *historyCache) read(
	load func() ([]recover.Report, error), changed <-chan struct{},
) ([]recover.Report, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changed == changed {
		return h.reports, nil
	}
	reports, err := load()
	if err != nil {
		return nil, err
	}
	h.reports, h.changed = reports, changed
	return reports, nil
}
