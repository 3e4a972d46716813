package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"archy-recovery/internal/recover"

	"golang.org/x/sys/unix"
)

const (
	historyDir = "history"
	// keepReports is how many reports are kept.
	keepReports = 100
	// reportMode lets only the owner read a report: it quotes what containers wrote.
	reportMode = 0o600
)

// Reports returns the reports of earlier recoveries, oldest first. It leaves out and
// reports one that cannot be read. A Reader of another user gets fs.ErrPermission.
func (d *Dir) Reports() ([]recover.Report, error) {
	ids, err := d.reportIDs()
	if err != nil {
		return nil, err
	}
	var reports []recover.Report
	var denied error
	for _, id := range ids {
		var r recover.Report
		content, err := d.read(reportFile(id))
		if d.readOnly && errors.Is(err, fs.ErrPermission) {
			denied = err // no damage, and the same for the others
			continue
		}
		if err == nil {
			err = json.Unmarshal(content, &r)
		}
		if err != nil {
			d.reportDamage("cannot be used", reportFile(id), err)
			continue
		}
		r.ID = id
		reports = append(reports, r)
	}
	if len(reports) == 0 && denied != nil {
		return nil, fmt.Errorf("only its owner may read the history: %w", denied)
	}
	return reports, nil
}

// SaveReport keeps a report and returns its ID. It replaces the report with the same ID.
// A report with ID 0 is a new one: it gets the next ID, and the oldest reports are removed.
func (d *Dir) SaveReport(r recover.Report) (id int, err error) {
	dir, err := d.openHistory()
	if err != nil {
		return 0, err
	}
	defer dir.Close()
	ids, err := d.reportIDs()
	if err != nil {
		return 0, err
	}
	if r.ID == 0 {
		r.ID = 1
		if len(ids) > 0 {
			r.ID = ids[len(ids)-1] + 1
		}
		for len(ids) >= keepReports {
			_ = os.Remove(d.file(reportFile(ids[0]))) // the next new report tries again
			ids = ids[1:]
		}
	}
	content, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	if err := d.replaceIn(dir.Name(), reportFile(r.ID), content, reportMode); err != nil {
		return 0, err
	}
	if err := d.syncDir(dir); err != nil {
		return 0, err
	}
	return r.ID, nil
}

// openHistory opens the directory of the reports, and creates a missing one.
func (d *Dir) openHistory() (*os.File, error) {
	err := os.Mkdir(d.file(historyDir), 0o755)
	if err == nil {
		err = d.sync()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("cannot create the history: %w", err)
	}
	dir, err := os.OpenFile(d.file(historyDir), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open the history: %w", err)
	}
	return dir, nil
}

// narrowReports takes other users' access from the reports that an earlier version left
// open to all. What fails is tried again at the next start.
func (d *Dir) narrowReports() {
	if d.otherHolds {
		return
	}
	ids, _ := d.reportIDs() // without a history there is nothing to narrow
	for _, id := range ids {
		f, err := os.OpenFile(d.file(reportFile(id)), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&^reportMode != 0 {
			_ = f.Chmod(reportMode)
		}
		_ = f.Close()
	}
}

func reportFile(id int) string { return filepath.Join(historyDir, strconv.Itoa(id)+".json") }

// reportIDs lists the IDs of the reports, in ascending order.
func (d *Dir) reportIDs() ([]int, error) {
	entries, err := os.ReadDir(d.file(historyDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var ids []int
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if id, err := strconv.Atoi(name); ok && err == nil && id > 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}
