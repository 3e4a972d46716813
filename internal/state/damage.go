package state

import (
	"fmt"
	"os"
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
	}
	return "; a copy is kept as " + aside
}
