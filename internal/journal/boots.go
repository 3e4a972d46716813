package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"archy-recovery/internal/recover"
)

// Boots returns the last n boots, oldest first, and why each ended (journalctl
// --list-boots -o json, since systemd 251).
func (r *Reader) Boots(ctx context.Context, n int) ([]recover.Boot, error) {
	var boots []recover.Boot
	longer := 2 * r.limit // journalctl walks through the whole journal for the list
	err := run(ctx, longer, []string{"--list-boots", "--output=json"}, func(out io.Reader) (whole bool, err error) {
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
		next, endOf := "", r.journalEnd
		if i+1 < len(boots) {
			next = boots[i+1].BootID
			if boots[i+1].Index == 0 {
				endOf = r.BootEnd
			}
		}
		end, err := endOf(ctx, boots[i].BootID, next)
		cause, signs := recover.ExplainHost(end)
		boots[i].Cause, boots[i].Evidence = cause, recover.Evidence(signs)
		if err != nil && boots[i].Cause == "" {
			boots[i].Cause = recover.CauseUnknown
		}
	}
	return boots, nil
}

// parseBoots reads the array that journalctl prints. journalctl can end it early
// after a boot ID that comes twice.
func parseBoots(in io.Reader) ([]recover.Boot, error) {
	var listed []struct {
		Index  int    `json:"index"`
		BootID string `json:"boot_id"`
		First  int64  `json:"first_entry"` // µs since 1970
		Last   int64  `json:"last_entry"`
	}
	if err := json.NewDecoder(in).Decode(&listed); err != nil {
		return nil, fmt.Errorf("journalctl's list of boots cannot be read: %w", err)
	}
	boots := make([]recover.Boot, 0, len(listed))
	for _, b := range listed {
		boots = append(boots, recover.Boot{Index: b.Index, BootID: b.BootID,
			First: time.UnixMicro(b.First), Last: time.UnixMicro(b.Last)})
	}
	return boots, nil
}
