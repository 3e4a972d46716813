package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"archy-recovery/internal/recover"
)

// lastAliveFile says when a run was last alive. It has one generation: a damaged one only
// costs the moment.
const lastAliveFile = "last-alive.json"

// LastAlive returns when a run was last alive. The errors are recover.ErrNone where none
// has written that down, and recover.ErrLost where it cannot be read.
func (d *Dir) LastAlive() (recover.LastAlive, error) {
	content, err := d.read(lastAliveFile)
	if errors.Is(err, fs.ErrNotExist) {
		return recover.LastAlive{}, fmt.Errorf("%s: %w", d.file(lastAliveFile), recover.ErrNone)
	}
	var a recover.LastAlive
	if err == nil {
		a, err = parseLastAlive(content)
	}
	if err != nil {
		d.reportDamage("cannot be used, so it is not known until when the last run was alive", lastAliveFile, err)
		return recover.LastAlive{}, fmt.Errorf("%s: %w (%v)", d.file(lastAliveFile), recover.ErrLost, err)
	}
	return a, nil
}

// SaveLastAlive replaces the moment. It may reach the disk only with the next write that is durable: until
// then a power cut leaves an earlier moment, at which the run was alive, too.
func (d *Dir) SaveLastAlive(a recover.LastAlive) error {
	content, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return d.replaceSoon(lastAliveFile, append(content, '\n'))
}

func parseLastAlive(content []byte) (recover.LastAlive, error) {
	var a recover.LastAlive
	if err := json.Unmarshal(content, &a); err != nil {
		return recover.LastAlive{}, err
	}
	if a.BootID == "" {
		return recover.LastAlive{}, errors.New("no member \"bootId\"")
	}
	if a.Confirmed < a.Snapshot {
		a.Snapshot, a.Confirmed = 0, 0 // it confirms nothing
	}
	return a, nil
}
