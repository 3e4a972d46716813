package state

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// A list that is damaged again and again has three copies, the last ones. They go after
// 90 days.
func TestCopiesOfDamageAreBounded(t *testing.T) {
	path := t.TempDir()
	d, _ := open(t, path)
	now := time.Now().Truncate(time.Second)
	for n := range 20 {
		put(t, d, snapshotFile, fmt.Sprintf("damage %d", n))
		at := now.Add(time.Duration(n-20) * time.Minute)
		if err := os.Chtimes(d.file(snapshotFile), at, at); err != nil {
			t.Fatal(err)
		}
		_, _ = d.Snapshot()
	}
	want := []string{}
	for n := 17; n < 20; n++ {
		want = append(want, fmt.Sprintf("%s.corrupt-%d", snapshotFile, now.Add(time.Duration(n-20)*time.Minute).Unix()))
	}
	if got := d.copies(snapshotFile); !slices.Equal(got, want) {
		t.Errorf("the copies are %q, want %q", got, want)
	}
	d.removeCopies(now.Add(89 * 24 * time.Hour))
	if n := len(d.copies(snapshotFile)); n != 3 {
		t.Errorf("%d copies after 89 days", n)
	}
	d.removeCopies(now.Add(91 * 24 * time.Hour))
	if n := len(d.copies(snapshotFile)); n > 0 {
		t.Errorf("%d copies after 91 days", n)
	}
}
