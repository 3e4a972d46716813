package recovertest

import (
	"errors"
	"slices"
	"strings"

	"archy-recovery/internal/recover"
)

// Store is the data directory.
type Store struct{ H *Host }

func (f Store) InFlight() (recover.InFlight, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	return f.H.InFlight, f.H.InFlightErr
}

func (f Store) SaveInFlight(now recover.InFlight) error {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	f.H.Say("in flight %s", strings.Join(now.Names, " "))
	if f.H.WriteErr == nil && !f.H.Dead {
		f.H.InFlight = now
	}
	return f.H.WriteErr
}

func (f Store) Quarantine() (recover.Casebook, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	book := f.H.Book
	book.Suspects = f.H.Quarantine
	return book, f.H.QuarantineErr
}

func (f Store) SaveQuarantine(book recover.Casebook) error {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	if f.H.SaveErr != nil {
		return f.H.SaveErr
	}
	if f.H.WriteErr == nil && !f.H.Dead {
		f.H.Book, f.H.Quarantine = book, book.Suspects
	}
	return f.H.WriteErr
}

func (f Store) Reports() ([]recover.Report, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	return slices.Clone(f.H.Reports), f.H.ReportsErr
}

func (f Store) SaveReport(r recover.Report) (int, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	if r.ID == 0 {
		r.ID = len(f.H.Reports) + 1
		f.H.Reports = append(f.H.Reports, r)
	}
	f.H.Reports[r.ID-1] = r
	return r.ID, f.H.WriteErr
}

func (f Store) Marker() *recover.Marker { return f.H.Marker }

func (f Store) WriteMarker(m recover.Marker) error {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	f.H.Say("%s", strings.TrimSpace("mark "+string(m.Left)))
	if f.H.WriteErr == nil && !f.H.Dead {
		f.H.Marker = &m
	}
	return f.H.WriteErr
}

func (f Store) RemoveMarker() error {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	f.H.Say("unmark")
	if !f.H.Dead {
		f.H.Marker = nil
	}
	return nil
}

func (f Store) Snapshot() (recover.Snapshot, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	if f.H.SnapshotErr != nil {
		return recover.Snapshot{}, f.H.SnapshotErr
	}
	if f.H.Snapshot == nil {
		return recover.Snapshot{}, recover.ErrNone
	}
	return *f.H.Snapshot, nil
}

func (f Store) SaveSnapshot(s recover.Snapshot) error {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	f.H.Say("save %s", strings.Join(Names(s.Containers), " "))
	if f.H.WriteErr == nil && !f.H.Dead {
		f.H.Snapshot, f.H.SnapshotErr = &s, nil
	}
	return errors.Join(f.H.WriteErr, f.H.SyncErr)
}

func (f Store) LastAlive() (recover.LastAlive, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	if f.H.LastAlive == nil {
		return recover.LastAlive{}, recover.ErrNone
	}
	return *f.H.LastAlive, nil
}

func (f Store) SaveLastAlive(a recover.LastAlive) error {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	f.H.Beats++
	if f.H.WriteErr == nil && !f.H.Dead {
		f.H.LastAlive = &a
	}
	return f.H.WriteErr
}

func (f Store) Hold() (recover.Hold, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	if f.H.Hold == nil {
		return recover.Hold{}, recover.ErrNone
	}
	return *f.H.Hold, nil
}

func (f Store) SaveHold(h recover.Hold) error {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	if f.H.WriteErr == nil && !f.H.Dead {
		f.H.Hold = &h
	}
	return f.H.WriteErr
}

func (f Store) UserStopped() ([]string, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	return slices.Clone(f.H.UserStopped), f.H.UserStoppedErr
}

func (f Store) EditUserStopped(edit func([]string) []string) (bool, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	if f.H.EditErr != nil {
		return false, f.H.EditErr
	}
	names := edit(slices.Clone(f.H.UserStopped))
	if f.H.UserStoppedErr != nil || slices.Equal(names, f.H.UserStopped) {
		return false, f.H.UserStoppedErr
	}
	if !f.H.Dead {
		f.H.UserStopped = names
	}
	return f.H.WriteErr == nil, f.H.WriteErr
}
