package state

import (
	"encoding/json"
	"errors"

	"archy-recovery/internal/recover"
)

// Quarantine returns the suspects. It returns none where there never was a list. The error
// is recover.ErrLost where no generation can be read.
func (d *Dir) Quarantine() (recover.Quarantine, error) {
	q, err := load(d, quarantineFile, parseQuarantine)
	if errors.Is(err, recover.ErrNone) {
		return nil, nil
	}
	return q, err
}

// SaveQuarantine replaces the suspects.
func (d *Dir) SaveQuarantine(q recover.Quarantine) error {
	if q == nil {
		q = recover.Quarantine{}
	}
	return save(d, quarantineFile, q, parseQuarantine)
}

func parseQuarantine(content []byte) (recover.Quarantine, error) {
	var q recover.Quarantine
	if err := json.Unmarshal(content, &q); err != nil {
		return nil, err
	}
	if q == nil {
		return nil, errors.New("not an array of suspects")
	}
	for _, suspect := range q {
		if err := recover.CheckName(suspect.Name); err != nil {
			return nil, err
		}
	}
	return q, nil
}
