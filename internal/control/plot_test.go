package control

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"archy-recovery/internal/recover"
)

// The picture of the recovery of this run is drawn while that is under way.
func TestPlotDuringRecovery(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	d := newDaemon(t, crashed(release), os.Getuid())
	if _, err := d.client.Plot(t.Context(), currentID); err == nil || err.Error() != errNotBegun.Error() {
		t.Errorf("before the verdict: %v", err)
	}
	d.run()
	for {
		st, changed := d.service.Status()
		if st.State == recover.Recovering {
			break
		}
		await(t, changed, "the beginning of recovery")
	}
	if picture, err := d.client.Plot(t.Context(), currentID); err != nil || !strings.Contains(string(picture), "so far ") {
		t.Errorf("under way: %.300s, %v", picture, err)
	}
	if _, err := d.client.Plot(t.Context(), "last"); err == nil || !strings.Contains(err.Error(), "no recovery") {
		t.Errorf("a recovery that is not in the history yet: %v", err)
	}
	close(release)
	d.ready()
	for _, id := range []string{currentID, "last", "1"} {
		picture, err := d.client.Plot(t.Context(), id)
		if err != nil || !strings.Contains(string(picture), "READY ") {
			t.Errorf("%s: %.300s, %v", id, picture, err)
		}
	}
}

// A picture has text that containers and images choose. It stays one well-formed SVG, without
// a script, and a browser that opens it may load nothing.
func TestPlotHostileText(t *testing.T) {
	t.Parallel()
	const hostile = "</text><script>alert(1)</script>\x00\x1b[2J&\"'<!-- ]]>"
	w := rich()
	for i := range w.Reports[1].Rows {
		row := &w.Reports[1].Rows[i]
		row.Error, row.Unit, row.Image = hostile, hostile, hostile
	}
	w.Reports[1].Notes = []string{hostile}
	w.Reports[1].Verdict.Reason = hostile
	d := newDaemon(t, w, os.Getuid())
	a := d.ask("GET /v1/recoveries/2/plot", "")
	if a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "image/svg+xml" {
		t.Fatalf("%d, %q: %.300s", a.StatusCode, a.Header.Get("Content-Type"), a.body)
	}
	for header, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
		"X-Content-Type-Options":  "nosniff",
	} {
		if got := a.Header.Get(header); got != want {
			t.Errorf("%s: %q", header, got)
		}
	}
	decoder := xml.NewDecoder(strings.NewReader(a.body))
	shown := false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, a.body)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "script" {
			t.Error("the picture has a script")
		}
		if text, ok := token.(xml.CharData); ok && strings.Contains(string(text), "alert(1)") {
			shown = true
		}
	}
	if !shown {
		t.Error("the picture lacks the text")
	}
}
