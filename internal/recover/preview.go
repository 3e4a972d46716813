package recover

import (
	"cmp"
	"slices"
	"time"
)

// A Preview is what would be started if the machine died now, and how long
// that may take.
type Preview struct {
	Batches []Batch `json:"batches"`
	// NotStarted are the members of the set that recovery would leave alone.
	NotStarted []Planned `json:"notStarted"`
	// ExpectedSeconds is from the first start to the end of the last, by earlier
	// recoveries; Unknown counts the containers that it leaves out, since they
	// never were recovered.
	ExpectedSeconds float64 `json:"expectedSeconds"`
	Unknown         int     `json:"unknown"`
	// CriticalPath is what READY would wait for, in order.
	CriticalPath []Step `json:"criticalPath"`
	// Notes are what could not be found out.
	Notes []string `json:"notes,omitempty"`
}

// A Batch is the containers that start side by side: those of a tier, or, where
// Alone, a group of suspects.
type Batch struct {
	Tier            int       `json:"tier"`
	Alone           bool      `json:"alone,omitempty"`
	Containers      []Planned `json:"containers"`
	ExpectedSeconds float64   `json:"expectedSeconds"`
	// Slowest is the container that it waits for, "" where no duration is known.
	Slowest string `json:"slowest,omitempty"`
	Unknown int    `json:"unknown"`

	took time.Duration
}

// holds reports whether a row of its group starts with it: suspects of all tiers do.
func (b *Batch) holds(row Row) bool { return b.Alone == row.Alone && (b.Alone || b.Tier == row.Tier) }

// Planned is one container of a preview.
type Planned struct {
	Name string `json:"name"`
	Tier int    `json:"tier"`
	// Unit is what would be started; with Generated, podman would generate it.
	Unit      string   `json:"unit,omitempty"`
	Generated bool     `json:"generated,omitempty"`
	State     RowState `json:"state"`
	// Why is why it is not started, or what is not known of it.
	Why string `json:"why,omitempty"`
	// Stopped is Row.Stopped.
	Stopped []string `json:"stopped,omitempty"`
	// ExpectedSeconds is the median of its earlier starts, nil without one.
	ExpectedSeconds *float64 `json:"expectedSeconds,omitempty"`
	EarlierStarts   int      `json:"earlierStarts"`
}

// A Step is a container that the ones after it wait for.
type Step struct {
	Tier    int     `json:"tier"`
	Alone   bool    `json:"alone,omitempty"`
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// Known is what a preview is made from, as the daemon or its files have it.
type Known struct {
	Set             []Container
	UserStopped     []string
	UserStoppedLost bool
	Quarantine      Quarantine
	History         []Report
	Notes           []string
}

// Lay puts the rows of a plan into batches.
func (k Known) Lay(rows []Row, resolved map[string]Resolution, p Policy) Preview {
	preview := Preview{Batches: []Batch{}, NotStarted: []Planned{}, Notes: k.Notes}
	expect := Expect(k.History)
	group, groups := 0, []int{} // of each batch
	for _, row := range rows {
		c := Planned{Name: row.Name, Tier: row.Tier, Unit: row.Unit, Generated: row.Generated, State: row.State,
			Why: cmp.Or(row.Error, row.WithoutStopped()), Stopped: row.Stopped, EarlierStarts: len(expect[row.Name])}
		if d, ok := expect.Start(row.Name); ok {
			seconds := d.Seconds()
			c.ExpectedSeconds = &seconds
		}
		if err := resolved[row.Name].Err; err != nil && c.Why == "" {
			c.Why = "its unit is not known now: " + err.Error()
		}
		if row.State != RowQueued {
			preview.NotStarted = append(preview.NotStarted, c)
			continue
		}
		n := len(preview.Batches) - 1
		if n < 0 || group != row.Group || !preview.Batches[n].holds(row) {
			group = row.Group
			preview.Batches = append(preview.Batches, Batch{Tier: row.Tier, Alone: row.Alone})
			groups = append(groups, group)
			n++
		}
		preview.Batches[n].Containers = append(preview.Batches[n].Containers, c)
	}
	for i := range preview.Batches {
		preview.Batches[i].expect(expect, p, groups[i] == group)
		preview.Unknown += preview.Batches[i].Unknown
	}
	var took time.Duration
	preview.CriticalPath, took = criticalPath(preview.Batches, p)
	preview.ExpectedSeconds = took.Seconds()
	return preview
}

func (b *Batch) expect(e Expectations, p Policy, last bool) {
	var names []string
	for _, c := range b.Containers {
		names = append(names, c.Name)
	}
	b.took, b.Slowest, b.Unknown = e.Tier(names)
	switch {
	case !b.Alone:
	case p.Mode == ModeSafe:
		b.took += p.Probation
	case !last:
		b.took += p.Soak
	}
	b.ExpectedSeconds = b.took.Seconds()
}

// criticalPath is what READY waits for: in each tier the slowest, as far as the
// tier's deadline lets it delay the next one.
func criticalPath(batches []Batch, p Policy) (all []Step, took time.Duration) {
	all = []Step{}
	var before []Step
	var begin time.Duration
	for _, b := range batches {
		var steps []Step
		var held []Step // as the next tier sees them
		if b.Alone {
			begin, before = took, all // all others have ended
			name := cmp.Or(b.Slowest, b.Containers[0].Name)
			steps = []Step{{Tier: b.Tier, Alone: true, Name: name, Seconds: b.took.Seconds()}}
			held = steps
		} else if b.Slowest != "" {
			steps = []Step{{Tier: b.Tier, Name: b.Slowest, Seconds: b.took.Seconds()}}
			held = []Step{{Tier: b.Tier, Name: b.Slowest, Seconds: min(b.took, p.TierDeadline).Seconds()}}
		}
		if len(steps) > 0 && begin+b.took >= took {
			took, all = begin+b.took, slices.Concat(before, steps)
		}
		before = slices.Concat(before, held)
		begin += min(b.took, p.TierDeadline)
	}
	return all, took
}
