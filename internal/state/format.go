package state

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// formatFile names the format of the directory: a whole number in the first line. A
// directory without it has format 1.
//
// An older program ignores what it does not know in a file. That is right for a field that
// it can do without. Where it would start less without it, or take a file for damaged,
// raise format, and write the file before the first one that needs it.
const formatFile = "format"

// format is the newest format that this program reads.
const format = 1

// ErrNewer means that a newer version of this program wrote the directory.
var ErrNewer = errors.New("it was written by a newer version of archy-recovery")

// checkFormat returns an ErrNewer if the directory has a newer format.
func (d *directory) checkFormat() error {
	content, err := d.read(formatFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the format of the data directory %s cannot be read: %w", d.path, err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	n, err := strconv.Atoi(strings.TrimSpace(line))
	switch {
	case err != nil || n < 1:
		return fmt.Errorf("%s says %q, which is no format. If no newer version of archy-recovery was ever installed, "+
			"remove the file", d.file(formatFile), line)
	case n > format:
		return fmt.Errorf("the data directory %s cannot be used: %w (format %d, and this one reads %d). "+
			"Install that version again. Nothing was started, and nothing was changed", d.path, ErrNewer, n, format)
	}
	return nil
}
