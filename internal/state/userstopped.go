package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"archy-recovery/internal/recover"
)

// UserStopped returns the names that are never started automatically. It returns none
// where there never was a list. The error is recover.ErrLost where no generation can be read.
func (d *Dir) UserStopped() ([]string, error) {
	names, err := load(d, userStoppedFile, parseNames)
	if errors.Is(err, recover.ErrNone) {
		return nil, nil
	}
	return names, err
}

// parseNames reads an array of names. A name that no container can have stays: it
// matches no container, and other programs write this file too.
func parseNames(content []byte) ([]string, error) {
	var names []string
	if err := json.Unmarshal(content, &names); err != nil {
		return nil, err
	}
	if names == nil {
		return nil, errors.New("not an array of names")
	}
	return names, nil
}

// EditUserStopped replaces the list by the result of edit, and reports whether the list
// changed. Programs that take the lock never lose each other's changes. The error is
// recover.ErrBusy where another program keeps the lock, or keeps writing.
//
// Other programs write the list too, and some take no lock. So the new file and the present one
// are exchanged in one step (RENAME_EXCHANGE of rename(2)). Then the replaced file is compared
// with the list that edit got. If they differ, another program wrote in between. The exchange is
// then undone, and edit runs again on the other program's list. So edit may run more than once.
func (d *Dir) EditUserStopped(edit func(names []string) []string) (changed bool, err error) {
	return d.editUserStopped(edit, lockTimeout, func() {})
}

// maxMerges bounds how often edit runs.
const maxMerges = 10

// editUserStopped is EditUserStopped for tests, which write in beforeExchange.
func (d *Dir) editUserStopped(
	edit func([]string) []string, timeout time.Duration, beforeExchange func(),
) (bool, error) {
	unlock, err := d.lock(timeout)
	if err != nil {
		return false, err
	}
	defer unlock()
	for range maxMerges {
		// This is read before UserStopped reads, so that every later change is noticed.
		present, readErr := d.read(userStoppedFile)
		names, err := d.UserStopped()
		if err != nil {
			return false, err
		}
		edited := edit(slices.Clone(names))
		// A change may be readable although its caller was told that it failed. It is
		// written again when it is asked for again.
		if slices.Equal(edited, names) && !d.unsynced.Load() {
			return false, nil
		}
		if edited == nil {
			edited = []string{}
		}
		content, err := json.MarshalIndent(edited, "", "  ")
		if err != nil {
			return false, err
		}
		content = append(content, '\n')
		if readErr != nil && !errors.Is(readErr, fs.ErrNotExist) {
			// There is nothing to compare with, and UserStopped has set the file aside.
			err = d.replace(userStoppedFile, content)
			return err == nil, err
		}
		switch exchanged, err := d.exchange(userStoppedFile, present, content, beforeExchange); {
		case err != nil:
			return false, err
		case exchanged:
			return true, nil
		}
	}
	return false, fmt.Errorf("%w: %s was written %d times during the change",
		recover.ErrBusy, d.file(userStoppedFile), maxMerges)
}
