// Package answerfile keeps what a unit found in a file, for the daemon that has started the unit.
package answerfile

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/google/renameio/v2"
)

// most bounds a file, in bytes.
const most = 16 << 20

// Write replaces the file with an answer, as JSON. It lies below /run: nothing is left of it
// after a crash. Only its owner may read it.
func Write(file string, found any) error {
	text, err := json.Marshal(found)
	if err != nil {
		return err
	}
	return renameio.WriteFile(file, text, 0o600)
}

// Read reads what Write wrote.
func Read[T any](file string) (found T, err error) {
	f, err := os.Open(file)
	if err != nil {
		return found, err
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, most)).Decode(&found); err != nil {
		return found, fmt.Errorf("%s: %w", file, err)
	}
	return found, nil
}
