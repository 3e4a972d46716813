package timeline

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// What became of a container after its start follows from its attempts.
func TestSegmentsOfLives(t *testing.T) {
	want := map[string]string{
		"lnd": "queued 3.41-3.42, starting 3.42-4.1, ready 4.1-5.2, fell 5.2-5.2, pause 5.2-15.2, starting 15.2-16.3, " +
			"ready 16.3-40",
		"electrs": "queued 3.41-3.42, starting 3.42-4.44, ready 4.44-6.2, restarting 6.2-40",
		"mempool": "queued 3.41-3.42, starting 3.42-4.44, ready 4.44-40, restarted 9.5-9.5",
		"broken": "queued 4.5-4.52, starting 4.52-4.71, ready 4.71-4.74, fell 4.74-4.74, pause 4.74-14.74, " +
			"starting 14.74-14.9, ready 14.9-14.92, fell 14.92-14.92",
		"nextcloud": "queued 4.5-4.52, starting 4.52-17.58, ready 17.58-29.1, fell 29.1-29.1",
		"grafana":   "queued 4.5-4.52, starting 4.52-5.2, restarting 5.2-14.1, fell 14.1-14.1",
		"backup":    "queued 4.5-4.52, starting 4.52-4.8, ready 4.8-25, done 25-25",
		"cleanup":   "queued 4.5-4.52, starting 4.52-4.9, fell 4.9-4.9",
	}
	for _, row := range amended().Rows {
		var got []string
		for _, s := range segments(row, at(17.6), at(40)) {
			got = append(got, fmt.Sprintf("%s %g-%g", s.kind, s.from.Sub(began).Round(time.Millisecond).Seconds(),
				s.to.Sub(began).Round(time.Millisecond).Seconds()))
		}
		if text := strings.Join(got, ", "); want[row.Name] != "" && text != want[row.Name] {
			t.Errorf("%s: got\n%s, want\n%s", row.Name, text, want[row.Name])
		}
	}
}

// A row that waits for its second attempt after a fall pauses from the fall on.
func TestSegmentsOfPendingRetry(t *testing.T) {
	r := amended().Rows[2]
	r.State, r.Attempts = recover.RowRetrying, r.Attempts[:1]
	parts := segments(r, at(8), at(9))
	if last := parts[len(parts)-1]; last.kind != kindPause || !last.from.Equal(at(5.2)) || !last.to.Equal(at(8)) {
		t.Errorf("the last segment is %+v", last)
	}
}

// The picture shows how a container ended, and goes on after READY as far as
// something happened.
func TestPictureOfFalls(t *testing.T) {
	elements := parse(t, draw(amended(), time.Time{}))
	texts, crosses, dots := map[string]int{}, 0, 0
	for _, e := range elements {
		switch {
		case e.name == "text":
			texts[e.text]++
		case e.name == "path" && e.attrs["class"] == "cross":
			crosses++
		case e.name == "circle":
			dots++
		}
	}
	for _, want := range []string{"exit code 1", "exit code 137", "exit code 2", "✗ fell", "✗ restarting", "done", "30s",
		"up, 2 restarts", "Error: statfs /mnt/photos: no such file or directory",
		"The source of a bind mount is not there: /mnt/photos. Mount the disk, or create the directory."} {
		if texts[want] == 0 {
			t.Errorf("%q is not in the picture", want)
		}
	}
	if crosses != 7 || dots != 2 { // with those of the legend
		t.Errorf("%d crosses and %d dots", crosses, dots)
	}
}

func TestPageOfFalls(t *testing.T) {
	var page strings.Builder
	if err := HTML(&page, amended(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"fell (exit code 137)", "restarting (exit code 101), 4 restarts", "<b>Cause:</b> The source of a bind mount",
		"<b>What to do:</b> Mount the disk", "no such file or directory\nsecond line</pre>",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("%q is not in the page", want)
		}
	}
}
