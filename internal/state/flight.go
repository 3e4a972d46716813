package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"archy-recovery/internal/recover"
)

// InFlight returns what was in flight when the last run ended.
func (d *Dir) InFlight() (recover.InFlight, error) {
	content, err := d.read(inFlightFile)
	if errors.Is(err, fs.ErrNotExist) {
		return recover.InFlight{}, nil
	}
	var f recover.InFlight
	if err == nil {
		f, err = parseInFlight(content)
	}
	if err != nil {
		d.log("cannot be used; a copy is kept as "+d.setAside(inFlightFile, content), inFlightFile, err)
		return recover.InFlight{}, fmt.Errorf("%s: %w (%v)", d.file(inFlightFile), recover.ErrLost, err)
	}
	return f, nil
}

// SaveInFlight replaces it. Where nothing is in flight there is no file.
func (d *Dir) SaveInFlight(f recover.InFlight) error {
	if len(f.Names) == 0 {
		if err := os.Remove(d.file(inFlightFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return d.sync()
	}
	content, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return d.replace(inFlightFile, append(content, '\n'))
}

func parseInFlight(content []byte) (recover.InFlight, error) {
	var f recover.InFlight
	if err := json.Unmarshal(content, &f); err != nil {
		return recover.InFlight{}, err
	}
	if f.BootID == "" {
		return recover.InFlight{}, errors.New("no member \"bootId\"")
	}
	for _, name := range f.Names {
		if err := recover.CheckName(name); err != nil {
			return recover.InFlight{}, err
		}
	}
	return f, nil
}

// Quarantine returns the suspects; none where there never was one.
func (d *Dir) Quarantine() (recover.Quarantine, error) {
	q, err := load(d, quarantineFile, parseQuarantine)
	if errors.Is(err, recover.ErrNone) {
		return nil, nil
	}
	return q, err
}

// SaveQuarantine replaces the list.
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
