package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"archy-recovery/internal/recover"
)

// A Boot is a boot that the journal knows of, and how it ended.
type Boot struct {
	// Index is 0 for the boot that runs, -1 for the one before, ….
	Index  int       `json:"index"`
	BootID string    `json:"bootId"`
	First  time.Time `json:"firstEntry"`
	Last   time.Time `json:"lastEntry"`
	// Cause is how it ended, empty for the boot that runs.
	Cause recover.Cause `json:"cause,omitempty"`
	// Evidence is the entries that the cause rests on.
	Evidence []recover.Entry `json:"evidence,omitempty"`
}

// Boots lists the last n boots, oldest first (journalctl --list-boots -o json,
// since systemd 251), each with how it ended.
func (r *Reader) Boots(ctx context.Context, n int) ([]Boot, error) {
	var boots []Boot
	listing := 2 * r.limit // it walks through the whole journal
	err := run(ctx, listing, []string{"--list-boots", "--output=json"}, func(out io.Reader) (whole bool, err error) {
		boots, err = parseBoots(out)
		return true, err
	})
	if err != nil {
		return nil, err
	}
	boots = boots[max(0, len(boots)-n):]
	for i := range boots {
		if boots[i].Index == 0 {
			continue
		}
		next, look := "", r.journalEnd
		if i+1 < len(boots) {
			next = boots[i+1].BootID
			if boots[i+1].Index == 0 {
				look = r.BootEnd
			}
		}
		end, err := look(ctx, boots[i].BootID, next)
		boots[i].Cause, boots[i].Evidence = recover.ExplainHost(end)
		if err != nil && boots[i].Cause == "" {
			boots[i].Cause = recover.CauseUnknown
		}
	}
	return boots, nil
}

// parseBoots reads journalctl's array. After a boot ID that comes twice it may
// end early: what was read until then counts.
func parseBoots(in io.Reader) ([]Boot, error) {
	var listed []struct {
		Index  int    `json:"index"`
		BootID string `json:"boot_id"`
		First  int64  `json:"first_entry"` // µs since 1970
		Last   int64  `json:"last_entry"`
	}
	if err := json.NewDecoder(in).Decode(&listed); err != nil {
		return nil, fmt.Errorf("journalctl's list of boots cannot be read: %w", err)
	}
	boots := make([]Boot, 0, len(listed))
	for _, b := range listed {
		boots = append(boots, Boot{Index: b.Index, BootID: b.BootID, First: time.UnixMicro(b.First), Last: time.UnixMicro(b.Last)})
	}
	return boots, nil
}

// Last returns the last n entries of our service in this boot.
func (r *Reader) Last(ctx context.Context, n int) ([]recover.Entry, error) {
	return r.read(ctx, "--boot", "--unit="+r.unit, "--lines="+strconv.Itoa(n))
}
