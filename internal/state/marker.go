package state

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"archy-recovery/internal/recover"
)

// Marker returns the marker of the last run, nil without one. A marker that cannot be read is
// Garbled. It is Alive where another live process holds the directory.
func (d *Dir) Marker() *recover.Marker {
	content, err := d.read(markerFile)
	if errors.Is(err, fs.ErrNotExist) {
		if d.otherHolds { // the other process has not written it yet
			return &recover.Marker{Alive: true}
		}
		return nil
	}
	m := recover.Marker{Garbled: true}
	if err == nil {
		m = parseMarker(content)
	}
	if m.Garbled && !d.otherHolds {
		d.reportDamage("the marker cannot be read"+d.setAside(markerFile, content), markerFile, err)
	}
	m.Alive = d.otherHolds
	return &m
}

// parseMarker reads a marker: the PID in the first line, and key=value lines after it.
// Unknown keys are ignored. The old module wrote only the PID.
func parseMarker(content []byte) recover.Marker {
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Scan()
	pid, err := strconv.Atoi(strings.TrimSpace(lines.Text()))
	if err != nil || pid <= 0 {
		return recover.Marker{Garbled: true}
	}
	m := recover.Marker{Identity: recover.Identity{PID: pid}}
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		switch key {
		case "boot_id":
			m.BootID = strings.TrimSpace(value)
		case "soft_reboots":
			m.SoftReboots, err = strconv.ParseUint(value, 10, 64)
		case "start_time":
			m.StartTime, err = strconv.ParseUint(value, 10, 64)
		case "earlier_boots":
			m.Earlier = strings.Fields(value)
		case "left":
			m.Left = recover.Leftover(strings.TrimSpace(value))
		}
		if err != nil {
			return recover.Marker{Garbled: true}
		}
	}
	m.Legacy = m.BootID == ""
	return m
}

// WriteMarker replaces the marker. Earlier versions of this program ignore the lines after
// the fourth, and so take what was left for a crash: they start more, not less.
//
// Where there is the marker of a run that was not stopped, the new one reaches the disk with the next durable
// write, such as SaveInFlight before the first start. Until then a power cut leaves the old marker, which
// still means a crash, and nothing has been started.
func (d *Dir) WriteMarker(m recover.Marker) error {
	text := fmt.Sprintf("%d\nboot_id=%s\nsoft_reboots=%d\nstart_time=%d\n",
		m.PID, m.BootID, m.SoftReboots, m.StartTime)
	if len(m.Earlier) > 0 {
		text += "earlier_boots=" + strings.Join(m.Earlier, " ") + "\n"
	}
	if m.Left != recover.LeftNothing {
		text += "left=" + string(m.Left) + "\n"
	}
	present, err := d.read(markerFile)
	crashed := err == nil && parseMarker(present).Left == recover.LeftNothing
	if crashed && m.Left == recover.LeftNothing {
		return d.replaceSoon(markerFile, []byte(text))
	}
	return d.replace(markerFile, []byte(text))
}

// RemoveMarker durably removes the marker, which says that the run ended cleanly. A missing
// marker is no error.
func (d *Dir) RemoveMarker() error {
	if err := os.Remove(d.file(markerFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.sync()
}
