package state

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reportDamage reports the damage of a file. It reports the same damage once, until
// the file is read in good order.
func (d *Dir) reportDamage(text, file string, err error) {
	damage := fmt.Sprint(text, err)
	d.mu.Lock()
	known := d.reported[file] == damage
	d.reported[file] = damage
	d.mu.Unlock()
	if !known {
		d.report(text, d.file(file), err)
	}
}

// clearDamage records that a file is in good order.
func (d *Dir) clearDamage(file string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.reported, file)
}

// setAside keeps a copy of a damaged file for the operator, and returns the end of the
// sentence that reports the damage. The copy's name has the time of the damaged file, so
// each damage is copied once. The text is empty where no copy is kept.
func (d *Dir) setAside(name string, content []byte) (text string) {
	if d.readOnly {
		return ""
	}
	info, err := os.Lstat(d.file(name))
	if err != nil || !info.Mode().IsRegular() {
		return "" // it was not read
	}
	aside := fmt.Sprintf("%s.corrupt-%d", name, info.ModTime().Unix())
	if _, err := os.Lstat(d.file(aside)); err != nil {
		if err := d.replace(aside, content); err != nil {
			d.reportDamage("is damaged, and no copy of it can be kept", name, err)
			return ""
		}
		d.removeOldCopies(name, aside)
	}
	return "; a copy is kept as " + aside
}

const (
	// keepCopies is how many copies of a damaged file are kept, the last ones.
	keepCopies = 3
	// keepCopiesFor is how long they are kept.
	keepCopiesFor = 90 * 24 * time.Hour
)

// removeOldCopies removes the copies of a damaged file but for the last ones and newest.
func (d *Dir) removeOldCopies(name, newest string) {
	copies := d.copies(name)
	for len(copies) > keepCopies {
		if copies[0] != newest {
			_ = os.Remove(d.file(copies[0])) // the next copy tries again
		}
		copies = copies[1:]
	}
}

// removeCopies removes the copies of all files that are older than keepCopiesFor.
func (d *Dir) removeCopies(now time.Time) {
	if d.otherHolds {
		return
	}
	for _, name := range []string{markerFile, snapshotFile, userStoppedFile, inFlightFile, quarantineFile} {
		for _, aside := range d.copies(name) {
			if info, err := os.Lstat(d.file(aside)); err == nil && now.Sub(info.ModTime()) > keepCopiesFor {
				_ = os.Remove(d.file(aside)) // the next start tries again
			}
		}
	}
}

// copies lists the copies of a damaged file, the oldest first.
func (d *Dir) copies(name string) []string {
	paths, _ := filepath.Glob(d.file(name + ".corrupt-*")) // the pattern is constant: no error
	copies := make([]string, len(paths))
	for i, path := range paths {
		copies[i] = filepath.Base(path)
	}
	slices.SortFunc(copies, func(a, b string) int { return cmp.Compare(copyTime(a), copyTime(b)) })
	return copies
}

// copyTime is the time in the name of a copy, in Unix seconds.
func copyTime(aside string) int64 {
	at, _ := strconv.ParseInt(aside[strings.LastIndexByte(aside, '-')+1:], 10, 64)
	return at
}
