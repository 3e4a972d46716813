package recover_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"archy-recovery/internal/recover"

	"pgregory.net/rapid"
)

// tell has a book judge crashes, each written as "CAUSE: NAMES". A panic is evidence.
func tell(b recover.Casebook, unit map[string]string, crashes ...string) recover.Casebook {
	for _, text := range crashes {
		cause, names, _ := strings.Cut(text, ":")
		crash := recover.Crash{BootID: fmt.Sprint(b.Judged, "+"), Cause: recover.CausePowerLoss,
			InFlight: strings.Fields(names)}
		if cause == "panic" {
			crash.Cause = recover.CausePanic
		}
		if len(crash.InFlight) == 0 {
			b = b.CrashedQuietly(crash)
			continue
		}
		b = b.Strike(crash, unit)
	}
	return b
}

// names are those for which is reports true.
func namesOf(q recover.Quarantine) (names []string) {
	for _, s := range q {
		names = append(names, s.Name)
	}
	return names
}

func TestCasebook(t *testing.T) {
	for name, c := range map[string]struct {
		crashes     []string
		unit        map[string]string
		watched     string // suspects, and what is in quarantine
		held        string
		unexplained int
	}{
		"one crash without evidence changes nothing": {crashes: []string{"cut: a b"}},
		"two do":                          {crashes: []string{"cut: a b c", "cut: a b"}, watched: "a b"},
		"one with evidence does":          {crashes: []string{"panic: a b"}, watched: "a b"},
		"what was not in flight is clear": {crashes: []string{"panic: a b c", "panic: b c"}, watched: "b c"},
		"the last one is the culprit":     {crashes: []string{"panic: a b", "panic: a"}, watched: "a", held: "a"},
		"without evidence it takes three": {crashes: []string{"cut: a b", "cut: a"}, watched: "a"},
		"and then it is": {
			crashes: []string{"cut: a b", "cut: a", "cut: a"}, watched: "a", held: "a"},
		"one alone is no culprit at its first crash": {crashes: []string{"panic: a"}, watched: "a"},
		"what one unit starts goes together": {crashes: []string{"panic: a b c", "panic: a b"},
			unit: map[string]string{"a": "u", "b": "u"}, watched: "a b", held: "a b"},
		"there may be two": {crashes: []string{"panic: a b c", "panic: a", "panic: b c", "panic: b"},
			watched: "a b", held: "a b"},
		"the second misfit refutes all": {
			crashes:     []string{"panic: a b c d", "panic: a", "panic: b c d", "panic: b", "panic: c"},
			unexplained: 5},
		"a power loss refutes no case with evidence": {
			crashes: []string{"panic: a b", "panic: a", "cut: c", "cut: d", "cut: e"},
			watched: "a", held: "a"},
		"a panic counts no more after that": {
			crashes: []string{"panic: a", "panic: b", "panic: c", "panic: d"}, unexplained: 3},
		"a panic with nothing in flight speaks for it": {
			crashes: []string{"panic: a b", "panic: a", "panic:", "panic:"}, unexplained: 4},
	} {
		t.Run(name, func(t *testing.T) {
			b := tell(recover.Casebook{}, c.unit, c.crashes...)
			if got := namesOf(b.Suspects.Watched()); !slices.Equal(got, strings.Fields(c.watched)) {
				t.Errorf("watched are %q, want %q", got, c.watched)
			}
			if got := namesOf(b.Suspects.Held()); !slices.Equal(got, strings.Fields(c.held)) {
				t.Errorf("in quarantine are %q, want %q", got, c.held)
			}
			if b.Unexplained != c.unexplained || (b.Note() == "") != (c.unexplained == 0) {
				t.Errorf("%d crashes are unexplained, want %d: %q", b.Unexplained, c.unexplained, b.Note())
			}
		})
	}
}

// The kernel names the container whose process it killed.
func TestKernelNamesCulprit(t *testing.T) {
	crash := recover.Crash{BootID: "1", Cause: recover.CauseOOM, Named: "b", InFlight: []string{"a", "b"}}
	b := recover.Casebook{}.Strike(crash, nil)
	if got := namesOf(b.Suspects.Watched()); !slices.Equal(got, []string{"b"}) || !b.Suspects[0].Named {
		t.Errorf("suspects are %+v", b.Suspects)
	}
	crash.Named = "x"
	if b := (recover.Casebook{}).Strike(crash, nil); len(b.Suspects) > 0 {
		t.Errorf("the kernel named another one, and suspects are %+v", b.Suspects)
	}
}

// Suspicion ends when a container has lived through a few soaks: through one when no
// container explains the crashes, or when an earlier version suspected it.
func TestSuspicionEnds(t *testing.T) {
	old := recover.Casebook{Suspects: recover.Quarantine{{Name: "a", Strikes: 2}}}
	unexplained := tell(recover.Casebook{Unexplained: 3}, nil, "panic: a", "panic: a")
	for name, c := range map[string]struct {
		book  recover.Casebook
		soaks int
	}{
		"without evidence": {tell(recover.Casebook{}, nil, "cut: a", "cut: a"), 8},
		"with evidence":    {tell(recover.Casebook{}, nil, "panic: a", "panic: a"), 8},
		"unexplained":      {unexplained, 1},
		"an older version": {old, 1},
	} {
		soaks, b := c.soaks, c.book
		b.Suspects[0].Quarantined = false
		for n := range soaks {
			if len(b.Suspects) == 0 {
				t.Errorf("%s: cleared after %d soaks, want %d", name, n, soaks)
				break
			}
			b = b.Soaked("a", fmt.Sprint(n))
		}
		if len(b.Suspects) > 0 || len(b.Crashes) > 0 {
			t.Errorf("%s: after %d soaks there are %+v", name, soaks, b)
		}
	}
}

// A day of life ends all suspicion that rests on no evidence, and no other.
func TestADayOfLife(t *testing.T) {
	b := tell(recover.Casebook{}, nil, "cut: a b", "cut: a b", "panic: c")
	if b = b.HostLived(recover.HostLives); len(b.Suspects) != 3 || b.Misfits != 0 {
		t.Errorf("after an hour: %+v", b)
	}
	b = b.HostLived(recover.SuspicionEnds)
	if got := namesOf(b.Suspects); !slices.Equal(got, []string{"c"}) || len(b.Crashes) != 1 {
		t.Errorf("after a day: %+v", b)
	}
}

// A crash that leaves all suspects of a case has them start in reverse order: of those
// that hang, each is in flight with those after it.
func TestReversed(t *testing.T) {
	for text, want := range map[string]bool{
		"cut: a b":                         false,
		"cut: a b|cut: a b":                false, // they did not start in groups
		"cut: a b|cut: a b|cut: a b":       true,
		"cut: a b c|cut: a b c|cut: a b":   false,
		"cut: a|cut: a|cut: a":             false, // one has no order
		"panic: a b|cut: a b":              true,
		"panic: a b c|cut: a b c|cut: a b": true, // as long as that helps
	} {
		b := tell(recover.Casebook{}, nil, strings.Split(text, "|")...)
		if got := b.Suspects[0].Reversed; got != want {
			t.Errorf("%s: reversed: %v, want %v", text, got, want)
		}
	}
}

// A list of an earlier version has strikes and no crashes.
func TestOldSuspects(t *testing.T) {
	old := recover.Casebook{Suspects: recover.Quarantine{
		{Name: "a", Strikes: 2, BootID: "x"}, {Name: "b", Strikes: 1, BootID: "x"}}}
	b := tell(old, nil, "cut: a")
	if got := namesOf(b.Suspects.Held()); !slices.Equal(got, []string{"a"}) || len(b.Suspects) != 1 {
		t.Errorf("%+v", b.Suspects)
	}
}

// Crashes with no container in flight say nothing of any, and after a few of them the
// host is said to be the reason: as long as it does not live for an hour.
func TestQuietCrashes(t *testing.T) {
	for name, c := range map[string]struct {
		crashes []string
		want    string // begins the note
	}{
		"two may be the power": {[]string{"cut:", "cut:"}, ""},
		"three are the host": {[]string{"cut:", "cut:", "cut:"},
			"3 crashes, no container explains them: none was"},
		"so are three panics": {[]string{"panic:", "panic:", "panic:"},
			"3 crashes, no container explains them: none was"},
		"others between do not matter":  {[]string{"cut:", "cut: a b", "cut:", "cut: a", "cut:"}, "3 crashes, no"},
		"they go on after a refutation": {[]string{"cut:", "panic: a", "panic: b", "panic: c", "cut:"}, "5 crashes, no"},
	} {
		b := tell(recover.Casebook{}, nil, c.crashes...)
		if got := b.Note(); !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		if b = b.HostLived(recover.HostLives); b.Note() != "" {
			t.Errorf("%s: after an hour of life: %q", name, b.Note())
		}
	}
	twice := recover.Crash{BootID: "x", Cause: recover.CausePowerLoss}
	if b := (recover.Casebook{}).CrashedQuietly(twice).CrashedQuietly(twice); b.Quiet != 1 {
		t.Errorf("one crash was judged twice: %+v", b)
	}
	held := tell(recover.Casebook{}, nil, "cut: a b", "cut: a", "cut: a", "cut:", "cut:", "cut:")
	if got := namesOf(held.Suspects.Held()); !slices.Equal(got, []string{"a"}) {
		t.Errorf("power losses speak for what looks like power loss: %q", got)
	}
}

// A soak counts once in a boot, however often it is told.
func TestSoakCountsOnceABoot(t *testing.T) {
	b := tell(recover.Casebook{}, nil, "panic: a", "panic: a b")
	for range 20 {
		b = b.Soaked("a", "boot")
	}
	if a, known := b.Suspects.Find("a"); !known || a.Lived != 1 || b.SoaksLeft(a) != 7 {
		t.Errorf("%+v", b.Suspects)
	}
}

// What something else has started near a crash is told, and changes nothing: whatever was started,
// nobody else is suspected, nor is anybody cleared. Only the kernel's word makes it a suspect.
func TestStartedByOthersIsNoStrike(t *testing.T) {
	all := []string{"a", "b", "c", "d", "e"}
	rapid.Check(t, func(rt *rapid.T) {
		some := func(what string) []string {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, 4, rapid.ID).Draw(rt, what)
		}
		told, untold := recover.Casebook{}, recover.Casebook{}
		for n := range rapid.IntRange(1, 8).Draw(rt, "crashes") {
			crash := recover.Crash{BootID: fmt.Sprint(n), InFlight: some("in flight"),
				Cause: rapid.SampledFrom([]recover.Cause{recover.CausePowerLoss, recover.CausePanic}).Draw(rt, "cause")}
			untold = untold.Strike(crash, nil)
			crash.Started = slices.DeleteFunc(some("started"), func(name string) bool {
				return slices.Contains(crash.InFlight, name)
			})
			told = told.Strike(crash, nil)
			if !told.Same(untold) {
				rt.Fatalf("after %+v:\n%+v\nwithout it:\n%+v", crash, told, untold)
			}
		}
	})
	var b recover.Casebook
	for n := range 2 {
		b = b.Strike(recover.Crash{BootID: fmt.Sprint(n), Cause: recover.CauseOOM, InFlight: []string{"a"},
			Started: []string{"b", "c"}, Named: "b"}, nil)
	}
	if got := namesOf(b.Suspects.Held()); !slices.Equal(got, []string{"b"}) ||
		!slices.Equal(b.Crashes[0].Started, []string{"c"}) {
		t.Errorf("the kernel named b twice: %+v", b)
	}
}
