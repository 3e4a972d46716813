package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"archy-recovery/internal/recover"
)

// InFlight returns the containers that were in flight when the last run ended. The error is
// recover.ErrLost where the file cannot be read.
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
		d.reportDamage("cannot be used"+d.setAside(inFlightFile, content), inFlightFile, err)
		return recover.InFlight{}, fmt.Errorf("%s: %w (%v)", d.file(inFlightFile), recover.ErrLost, err)
	}
	return f, nil
}

// SaveInFlight replaces the containers in flight. Without any it removes the file.
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
