package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"archy-recovery/internal/recover"
)

// holdFile says until when nothing is started by itself after READY. It has one generation: a
// damaged one only costs the hold.
const holdFile = "hold.json"

// Hold returns the hold that was written last. The errors are recover.ErrNone where there is
// none, and recover.ErrLost where it cannot be read.
func (d *Dir) Hold() (recover.Hold, error) {
	content, err := d.read(holdFile)
	if errors.Is(err, fs.ErrNotExist) {
		return recover.Hold{}, fmt.Errorf("%s: %w", d.file(holdFile), recover.ErrNone)
	}
	var h recover.Hold
	if err == nil {
		err = json.Unmarshal(content, &h)
	}
	if err != nil {
		d.reportDamage("cannot be used, so nothing is held", holdFile, err)
		return recover.Hold{}, fmt.Errorf("%s: %w (%v)", d.file(holdFile), recover.ErrLost, err)
	}
	return h, nil
}

// SaveHold replaces the hold.
func (d *Dir) SaveHold(h recover.Hold) error {
	content, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return d.replace(holdFile, append(content, '\n'))
}
