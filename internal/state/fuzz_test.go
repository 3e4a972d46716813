package state

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The fuzz tests check every file: nothing panics, accepted content is valid, and written
// content reads the same.

// silentDir returns a data directory that drops its reports of damage.
func silentDir(t *testing.T) *Dir {
	t.Helper()
	d, err := Open(t.TempDir(), func(string, string, error) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func FuzzMarker(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "4711", " 4711 \n", "4711\nboot_id=b1\nsoft_reboots=1\nstart_time=900\n",
		"0\n", "-1\n", "99999999999999999999", "1\nstart_time=-1\n", "1\nboot_id=\n",
		"1\nboot_id=a\nboot_id=b", "1\r\nboot_id=b1\r\n",
		"1\nsoft_reboots=x\nboot_id=b", "1\x00\nboot_id=b",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		m := parseMarker(content)
		if m.Garbled {
			if diff := cmp.Diff(recover.Marker{Garbled: true}, m); diff != "" {
				t.Errorf("a garbled marker reads as %+v", m)
			}
			return
		}
		if m.PID <= 0 || m.Legacy != (m.BootID == "") {
			t.Errorf("accepted: %+v", m)
		}
		elsewhere := m.Left == recover.LeftInBoot // it says that it was a clean end
		if v := recover.Judge(&m, recover.Identity{BootID: "here", PID: 1}); !v.Unclean() && !elsewhere {
			t.Errorf("a marker reads as a clean end: %+v", v)
		}
		if m.Legacy {
			return
		}
		d := silentDir(t)
		if err := d.WriteMarker(m); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&m, d.Marker(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("wrote and read (-wrote +read):\n%s", diff)
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	for _, seed := range []string{
		`{"timestamp":1,"containers":[]}`, `{"containers":null}`, `{}`, `null`, `[]`, `{"containers":[{}]}`,
		`{"timestamp":1,"containers":[{"name":"db","image":"a:1","unit":"db.service","tier":0,"unrecovered":true}],` +
			`"bootId":"b","softReboots":1,"monotonicNsec":5}`,
		`{"containers":[{"name":"../etc"}]}`, `{"containers":[{"name":"a","tier":-1},{"name":"b","tier":100}]}`,
		`{"containers":[{"name":"a"},{"name":"a"}]}`,
		`{"Containers":[{"NAME":"a"}],"containers":[{"name":"b"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := parseSnapshot(content)
		if err != nil {
			return
		}
		for _, c := range s.Containers {
			if err := recover.CheckName(c.Name); err != nil {
				t.Error("accepted: ", err)
			}
			if c.Tier != nil && (*c.Tier < 0 || *c.Tier > recover.MaxTier) {
				t.Errorf("accepted tier %d of %s", *c.Tier, c.Name)
			}
		}
		roundTrip(t, s, func(d *Dir) error { return d.SaveSnapshot(s) }, (*Dir).Snapshot)
	})
}

func FuzzUserStopped(f *testing.F) {
	for _, seed := range []string{
		`[]`, `null`, `{}`, `["a","b"]`, `[""]`, `["a","a"]`, `["\u0000"]`, `["a",1]`, `[null]`, "[]\n[]", "[\"a\"]\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		names, err := parseNames(content)
		if err != nil {
			return
		}
		if names == nil {
			t.Fatal("a nil list was accepted")
		}
		// A name that is added to the file leaves the others as they are.
		d := silentDir(t)
		if err := os.WriteFile(d.file(userStoppedFile), content, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := d.EditUserStopped(func(names []string) []string { return append(names, "added") }); err != nil {
			t.Fatal(err)
		}
		if got, err := d.UserStopped(); err != nil || !slices.Equal(got, append(names, "added")) {
			t.Errorf("%q and one more: %q, %v", names, got, err)
		}
	})
}

func FuzzInFlight(f *testing.F) {
	for _, seed := range []string{
		`{"bootId":"b","containers":["a"]}`, `{"bootId":"b"}`, `{"containers":["a"]}`, `null`,
		`{"bootId":"b","containers":["/"]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		flight, err := parseInFlight(content)
		if err != nil {
			return
		}
		if flight.BootID == "" {
			t.Error("accepted without a boot ID")
		}
		for _, name := range flight.Names {
			if err := recover.CheckName(name); err != nil {
				t.Error("accepted: ", err)
			}
		}
		if len(flight.Names) > 0 { // otherwise there is no file
			roundTrip(t, flight, func(d *Dir) error { return d.SaveInFlight(flight) }, (*Dir).InFlight)
		}
	})
}

func FuzzLastAlive(f *testing.F) {
	for _, seed := range []string{
		`{"bootId":"b","time":"2026-11-22T22:01:12Z","snapshotMonotonicNsec":5,"confirmedMonotonicNsec":9}`,
		`{"bootId":""}`, `null`, `{"bootId":"b","snapshotMonotonicNsec":9,"confirmedMonotonicNsec":5}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		alive, err := parseLastAlive(content)
		if err != nil {
			return
		}
		if alive.BootID == "" || alive.Confirmed < alive.Snapshot {
			t.Errorf("accepted %+v", alive)
		}
		if _, err := json.Marshal(alive.Time); err == nil { // else it is no time that a run writes
			roundTrip(t, alive, func(d *Dir) error { return d.SaveLastAlive(alive) }, (*Dir).LastAlive)
		}
	})
}

func FuzzQuarantine(f *testing.F) {
	for _, seed := range []string{
		`[]`, `null`, `{}`, `[{"name":"a","strikes":2,"bootId":"b","since":"2026-11-22T22:01:12Z",` +
			`"quarantined":true,"listed":true,"fingerprint":"f"}]`,
		`[{"name":""}]`, `[{"name":"a"},{"name":"a"}]`, `[{"name":"a","since":"0000-01-01T00:00:00+23:59"}]`,
		`[{"name":"a","strikes":-9223372036854775808}]`,
		`{"suspects":[{"name":"a","case":"b"}],"crashes":[{"bootId":"b","case":"b","inFlight":["a"]}],"misfits":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		book, err := parseQuarantine(content)
		if err != nil {
			return
		}
		q := book.Suspects
		for _, suspect := range q {
			if err := recover.CheckName(suspect.Name); err != nil {
				t.Error("accepted: ", err)
			}
			if _, left := q.Without(suspect.Name).Find(suspect.Name); left {
				t.Errorf("%s cannot be released", suspect.Name)
			}
		}
		roundTrip(t, book, func(d *Dir) error { return d.SaveQuarantine(book) }, (*Dir).Quarantine)
	})
}

func FuzzReport(f *testing.F) {
	recorded, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range recorded {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"id":-3,"bootId":"b","verdict":{"ending":"host-crash",` +
			`"evidence":[{"cursor":"c","time":"2026-11-22T22:01:12Z","message":"m"}],"previous":{"pid":1}}}`,
		`{"containers":[{"name":"a","tier":1,"state":"up","queued":"2026-11-22T22:01:12Z",` +
			`"attempts":[{"started":"2026-11-22T22:01:12Z","ended":"2026-11-22T22:01:13Z"}]}]}`,
		`{"containers":[{"name":"a","attempts":null},{"state":"nonsense"}],"notes":[""]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		d := silentDir(t)
		if err := os.MkdirAll(d.file(historyDir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(d.file(reportFile(7)), content, 0o644); err != nil {
			t.Fatal(err)
		}
		reports, err := d.Reports()
		if err != nil {
			t.Fatal(err)
		}
		if len(reports) == 0 {
			if json.Valid(content) && json.Unmarshal(content, &recover.Report{}) == nil {
				t.Error("a valid report was left out")
			}
			return
		}
		r := reports[0]
		if r.ID != 7 {
			t.Errorf("its ID is %d", r.ID)
		}
		_ = r.Summary()
		if _, err := d.SaveReport(r); err != nil {
			t.Fatal(err)
		}
		again, err := d.Reports()
		if diff := cmp.Diff([]recover.Report{r}, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%v (-read +written and read):\n%s", err, diff)
		}
	})
}

// roundTrip saves an accepted value and reads it again.
func roundTrip[T any](t *testing.T, value T, save func(*Dir) error, read func(*Dir) (T, error)) {
	t.Helper()
	d := silentDir(t)
	if err := save(d); err != nil {
		t.Fatal(err)
	}
	again, err := read(d)
	if diff := cmp.Diff(value, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("%v (-saved +read):\n%s", err, diff)
	}
}
