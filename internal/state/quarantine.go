package state

import (
	"bytes"
	"encoding/json"
	"errors"

	"archy-recovery/internal/recover"
)

// Quarantine returns the casebook. It is empty where there never was one. The error
// is recover.ErrLost where no generation can be read.
func (d *Dir) Quarantine() (recover.Casebook, error) {
	book, err := load(d, quarantineFile, parseQuarantine)
	if errors.Is(err, recover.ErrNone) {
		return recover.Casebook{}, nil
	}
	return book, err
}

// SaveQuarantine replaces the casebook.
func (d *Dir) SaveQuarantine(book recover.Casebook) error {
	if book.Suspects == nil {
		book.Suspects = recover.Quarantine{}
	}
	return save(d, quarantineFile, book, parseQuarantine)
}

// parseQuarantine reads a casebook. Older versions wrote only its suspects, as an array.
func parseQuarantine(content []byte) (recover.Casebook, error) {
	var book recover.Casebook
	var into any = &book
	if bytes.HasPrefix(bytes.TrimLeft(content, " \t\r\n"), []byte("[")) {
		into = &book.Suspects
	}
	if err := json.Unmarshal(content, into); err != nil {
		return recover.Casebook{}, err
	}
	if book.Suspects == nil {
		return recover.Casebook{}, errors.New("no suspects in it: neither an array of them nor the member \"suspects\"")
	}
	for _, suspect := range book.Suspects {
		if err := recover.CheckName(suspect.Name); err != nil {
			return recover.Casebook{}, err
		}
	}
	return book, nil
}
