package timeline

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// An element of a picture, without its children.
type element struct {
	name  string
	attrs map[string]string
	text  string
}

// parse reads a picture as a viewer does. It fails if the picture is not
// well-formed.
func parse(t *testing.T, picture string) (all []element) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(picture))
	var open []int
	for {
		token, err := d.Token()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attrs: map[string]string{}}
			for _, a := range token.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			open = append(open, len(all))
			all = append(all, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				all[open[len(open)-1]].text += string(token)
			}
		}
	}
}

func reports() map[string]recover.Report {
	back := small()
	back.Rows[1].Attempts = []recover.Attempt{try(-3600, -3590, "")} // the clock was set back during recovery
	ahead := small()
	ahead.Rows[1].Attempts = []recover.Attempt{try(4e6, 4e6+1, "")}
	ahead.Finished = at(4e6 + 2)
	instant := report(0, row("a", 0, recover.RowUp, 0, try(0, 0, "")))
	return map[string]recover.Report{
		"small": small(), "fleet of 30": fleet(30), "fleet of 100": fleet(100), "fleet of 300": fleet(300),
		"hung": hung(), "amended": amended(), "unfinished": unfinished(), "empty": report(1), "instant": instant, "zero": {},
		"clock set back": back, "clock set ahead": ahead,
	}
}

// Each started container has a bar, each element is inside the picture, and the
// picture has nothing to load or to run.
func TestPictures(t *testing.T) {
	for name, r := range reports() {
		t.Run(name, func(t *testing.T) {
			picture := draw(r, time.Time{})
			if strings.Contains(picture, "NaN") || strings.Contains(picture, "Inf") {
				t.Error("a coordinate is not a number")
			}
			elements := parse(t, picture)
			var w, h float64
			if _, err := fmt.Sscanf(elements[0].attrs["viewBox"], "0 0 %f %f", &w, &h); err != nil || w != width || h < 100 {
				t.Fatalf("viewBox %q: %v", elements[0].attrs["viewBox"], err)
			}
			for _, e := range elements {
				checkInside(t, e, w, h)
				if slices.Contains([]string{"script", "image", "foreignObject", "a", "use"}, e.name) {
					t.Errorf("there is a <%s>", e.name)
				}
				for key := range e.attrs {
					if strings.HasPrefix(key, "on") || key == "href" || key == "src" {
						t.Errorf("<%s> has %s=", e.name, key)
					}
				}
			}
			for _, row := range r.Rows {
				shown := slices.ContainsFunc(elements, func(e element) bool {
					return e.name == "title" && strings.HasPrefix(e.text, row.Name+" (") && hasBar(row)
				})
				listed := slices.ContainsFunc(elements, func(e element) bool {
					return e.name == "text" &&
						(slices.Contains(strings.Fields(e.text), row.Name) || strings.Contains(e.text, " more"))
				})
				if hasBar(row) && !shown || !hasBar(row) && !listed {
					t.Errorf("%s (%s) is not in the picture", row.Name, row.State)
				}
			}
		})
	}
}

// checkInside fails if an element is not inside the picture.
func checkInside(t *testing.T, e element, w, h float64) {
	t.Helper()
	number := func(key string) float64 {
		text, ok := e.attrs[key]
		if !ok {
			return 0
		}
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || f < 0 {
			t.Errorf("<%s> %v: %s=%q", e.name, e.attrs, key, text)
		}
		return f
	}
	switch e.name {
	case "rect":
		if number("x")+number("width") > w || number("y")+number("height") > h {
			t.Errorf("a box is outside of the picture: %v", e.attrs)
		}
	case "text":
		// Half an em is the mean width of a letter in most fonts.
		x, length := number("x"), float64(len([]rune(e.text)))*number("font-size")*0.5
		from, to := x, x+length
		switch {
		case strings.Contains(e.attrs["class"], " e"):
			from, to = x-length, x
		case strings.Contains(e.attrs["class"], " m"):
			from, to = x-length/2, x+length/2
		}
		if from < 0 || to > w || number("y") > h {
			t.Errorf("a text is outside of the picture: %v %q", e.attrs, e.text)
		}
	}
}

// The picture of the demo's recovery has these elements, in this order.
func TestPictureSmallRecovery(t *testing.T) {
	var got []string
	for _, e := range parse(t, draw(small(), time.Time{})) {
		switch {
		case e.name == "text":
			got = append(got, strings.TrimSpace(e.text))
		case e.name == "path" && e.attrs["class"] == "line":
			got = append(got, "|")
		case e.name == "rect" && e.attrs["fill"] != "":
			got = append(got, e.attrs["fill"])
		case e.name == "rect" && (e.attrs["class"] == "starting" || e.attrs["class"] == "ready"):
			got = append(got, e.attrs["class"])
		}
	}
	want := []string{
		"Recovery 12 after a crash of the host: power loss",
		"the last run (PID 144) was under way in boot 5a1f77e09c4d4e2f8b1f0a7f3b0c9d11, which is over",
		"boot 0dc02c03…  ·  2026-11-23 01:42:21 UTC  ·  READY after 17.6s, " +
			"complete with 1 not recovered: 4 of 5 containers run; 1 failed",
		"waits for its turn", "starting", "starting", "ready", "up", "url(#tl-failed)", "failed attempt",
		"pause before the retry",
		"0", "2s", "4s", "6s", "8s", "10s", "12s", "14s", "16s", "took", "result",
		"tier 0", "btcpay-db", "starting", "ready", "1.1s", "up",
		"tier 1", "bitcoin-knots", "starting", "ready", "1.65s", "up",
		"tier 2", "lnd", "url(#tl-failed)", "starting", "ready", "11.9s", "up, 2nd try",
		"electrs", "starting", "ready", "1.02s", "up",
		"tier 3", "nextcloud", "url(#tl-failed)", "url(#tl-failed)", "13.1s", "✗ failed twice",
		"|", "READY 17.6s",
		"✗ nextcloud", "start job: failed; unit failed (exit-code 2)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// Names and messages may contain anything. None of it becomes markup.
func TestMarkupEscaped(t *testing.T) {
	evil := `"'><script>alert(1)</script><text onload=x>&lt;` + "\x00\x1b[31m\n]]>"
	r := hung()
	r.BootID, r.Notes = evil, []string{evil}
	r.Verdict.Reason, r.Verdict.Cause, r.Verdict.Ending = evil, recover.Cause(evil), recover.Ending(evil)
	r.Verdict.Evidence = []recover.Entry{{Cursor: evil, Message: evil}}
	for i := range r.Rows {
		r.Rows[i].Name, r.Rows[i].Unit, r.Rows[i].Error = evil, evil, evil
		for j := range r.Rows[i].Attempts {
			r.Rows[i].Attempts[j].Error, r.Rows[i].Attempts[j].Result = evil, evil
			r.Rows[i].Attempts[j].Fell = &recover.Fall{At: at(9), Result: evil}
			r.Rows[i].Attempts[j].Why = &recover.Explanation{Cause: evil, Advice: evil, Output: []string{evil}}
		}
	}
	r.Rows = append(r.Rows, recover.Row{Name: evil, State: recover.RowState(evil)})
	picture := draw(r, time.Time{})
	for _, e := range parse(t, picture) {
		if e.name == "script" || e.attrs["onload"] != "" {
			t.Errorf("the picture has <%s %v>", e.name, e.attrs)
		}
	}
	var page strings.Builder
	if err := HTML(&page, r, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(page.String(), "<script") || strings.Contains(page.String(), "<text onload") {
		t.Error("the page has a script")
	}
}

func TestPageContent(t *testing.T) {
	var page strings.Builder
	if err := HTML(&page, hung(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"<svg ", "the journal just stops", "s=1;i=2;b=3", "<td class=\"c\">jellyfin</td>", "not up within 3m0s",
		"prefers-color-scheme",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	text := strings.ReplaceAll(page.String(), `xmlns="http://www.w3.org/2000/svg"`, "")
	for _, load := range []string{"http://", "https://", "src=", "@import"} {
		if strings.Contains(text, load) {
			t.Errorf("the page loads something: %s", load)
		}
	}
}

// A container that hangs does not squeeze the others together, and the axis
// never goes back around its breaks.
func TestScaleWithBreaks(t *testing.T) {
	s := newScale(100, 800, []time.Duration{
		0, time.Second, 3 * time.Second, 123 * time.Second, 133 * time.Second, 313 * time.Second, 900 * time.Second,
	})
	if len(s.breaks) != 3 {
		t.Fatalf("breaks %v", s.breaks)
	}
	if second := s.at(2*time.Second) - s.at(time.Second); second < 15 {
		t.Errorf("a second has %.1f pixels", second)
	}
	before := 0.0
	for d := time.Duration(0); d <= s.end; d += 100 * time.Millisecond {
		x := s.at(d)
		if x < before || x < 100 || x > 800 {
			t.Fatalf("%s is at %.2f after %.2f", d, x, before)
		}
		before = x
	}
	if before = s.at(s.end); math.Abs(before-800) > 0.01 {
		t.Errorf("the axis ends at %.2f", before)
	}
	last := -100.0
	for _, d := range s.ticks(60) {
		if s.at(d)-last < 40 {
			t.Errorf("the label at %s is too near to the one before", d)
		}
		last = s.at(d)
	}
}

// The segments between attempts follow from a row's waits, not from its error.
func TestSegmentsOfWaits(t *testing.T) {
	waits := func(spans ...recover.Wait) func(recover.Row) recover.Row {
		return func(r recover.Row) recover.Row { r.Waits = spans; return r }
	}
	for name, c := range map[string]struct {
		row  recover.Row
		want string
	}{
		"for container, then retried": {
			waits(recover.Wait{Began: at(2), Ended: at(7)})(row("a", 0, recover.RowUp, 0, try(1, 2, "x"), try(7, 8, ""))),
			"queued 0-1, failed 1-2, waiting 2-7, starting 7-8, ready 8-20"},
		"for mount, before first attempt": {
			waits(recover.Wait{Began: at(1), Ended: at(7)})(row("a", 0, recover.RowUp, 0, try(7.5, 8, ""))),
			"queued 0-1, waiting 1-7, queued 7-7.5, starting 7.5-8, ready 8-20"},
		"given up": {
			waits(recover.Wait{Began: at(1), Ended: at(7)})(row("a", 0, recover.RowFailed, 0)),
			"queued 0-1, waiting 1-7"},
		"under way": {
			waits(recover.Wait{Began: at(1)})(row("a", 0, recover.RowWaiting, 0)),
			"queued 0-1, waiting 1-10"},
		"under way, after attempt": {
			waits(recover.Wait{Began: at(2)})(row("a", 0, recover.RowWaiting, 0, try(1, 2, "x"))),
			"queued 0-1, failed 1-2, waiting 2-10"},
		"none": {
			row("a", 0, recover.RowUp, 0, try(1, 2, "waits for a mount"), try(7, 8, "")),
			"queued 0-1, failed 1-2, pause 2-7, starting 7-8, ready 8-20"},
	} {
		var got []string
		for _, s := range segments(c.row, at(10), at(20)) {
			got = append(got, fmt.Sprintf("%s %g-%g", s.kind, s.from.Sub(began).Seconds(), s.to.Sub(began).Seconds()))
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("%s: got\n%s, want\n%s", name, text, c.want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                         "0ms",
		812 * time.Millisecond:    "812ms",
		1254 * time.Millisecond:   "1.254s",
		2 * time.Second:           "2s",
		15300 * time.Millisecond:  "15.3s",
		125300 * time.Millisecond: "2min 5.3s",
		15 * time.Minute:          "15min",
		62 * time.Minute:          "1h 2min",
		-time.Second:              "-1s",
		// Rounded up to the next unit.
		999600 * time.Microsecond:  "1s",
		59960 * time.Millisecond:   "1min",
		119960 * time.Millisecond:  "2min",
		3599990 * time.Millisecond: "1h",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestShortenedText(t *testing.T) {
	if got := shortenMiddle("penpot-postgres-of-the-other-node", 16); got != "penpot-po…r-node" {
		t.Errorf("a name becomes %q", got)
	}
	lines := wrap(strings.Fields(strings.Repeat("name ", 100)), 40, 2)
	if len(lines) != 2 || !strings.HasSuffix(lines[1], " more") {
		t.Errorf("many names become %q", lines)
	}
	lines = wrapText(strings.Repeat("word ", 100), 40)
	if len(lines) != 2 || !strings.HasSuffix(lines[1], "…") || len([]rune(lines[1])) > 41 {
		t.Errorf("a long text becomes %q", lines)
	}
}

func BenchmarkSVG300(b *testing.B) {
	r := fleet(300)
	b.ReportAllocs()
	for b.Loop() {
		if err := SVG(io.Discard, r, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
}

// What needs a container that was stopped on purpose is listed with that one, and a bar says
// what its container was started without.
func TestPictureNeedsStopped(t *testing.T) {
	r := report(3, row("web", 3, recover.RowUp, 0, try(0, 1, "")), row("wallet", 3, recover.RowNeedsStopped, -1))
	r.Rows[0].Stopped, r.Rows[1].Stopped = []string{"mq"}, []string{"db", "mq"}
	r.Rows[1].Error = "needs db, mq, which you stopped"
	picture := draw(r, time.Time{})
	for _, want := range []string{
		"needs-stopped (1)", "wallet (needs db, mq)", "up without mq", "started without (1)", "web (without mq)",
		"without mq, which you stopped",
	} {
		if !strings.Contains(picture, want) {
			t.Errorf("the picture lacks %q:\n%s", want, picture)
		}
	}
}
