package recover

import (
	"context"
	"fmt"
	"maps"
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

// A Batch is the containers that start side by side, or, where Alone, one
// after the other.
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

// Preview is what would be started if the machine died now.
func (s *Service) Preview(ctx context.Context) Preview {
	status, _ := s.Status()
	k := Known{Set: status.Set.Containers, Quarantine: status.Quarantine}
	if status.State == Assessing {
		k.Notes = append(k.Notes, "how the last run ended is still being assessed")
	}
	var err error
	if k.UserStopped, err = s.UserStopped(); err != nil {
		k.UserStoppedLost = true
		k.Notes = append(k.Notes, fmt.Sprintf("the user-stopped list cannot be read: %v", err))
	}
	if k.History, err = s.Reports(); err != nil {
		k.Notes = append(k.Notes, fmt.Sprintf("the history cannot be read: %v", err))
	}
	return k.Preview(ctx, s.Podman, s.Systemd, s.policy)
}

// Preview asks podman and systemd, and changes nothing there: units that would
// be generated are named, but neither generated nor installed.
func (k Known) Preview(ctx context.Context, podman Podman, systemd Systemd, p Policy) Preview {
	view := Look(ctx, podman, systemd, k.Set)
	if view.PodmanErr != nil {
		k.Notes = append(k.Notes, fmt.Sprintf("podman does not answer: %v", view.PodmanErr))
	}
	if view.SystemdErr != nil {
		k.Notes = append(k.Notes, fmt.Sprintf("the units that run containers cannot be listed: %v", view.SystemdErr))
	}
	view = view.afterPowerCut()
	holds := Holds{UserStopped: k.UserStopped, UserStoppedLost: k.UserStoppedLost, Quarantine: k.Quarantine}
	resolved := Resolve(ctx, k.Set, view, generatesNothing{podman}, installsNothing{systemd})
	var units []string
	for name, how := range resolved {
		how.State = UnitState{Loaded: how.State.Loaded} // nothing is active any more
		resolved[name] = how
		if how.Unit != "" {
			units = append(units, how.Unit)
		}
	}
	if len(k.Quarantine) > 0 {
		var err error
		if holds.Pulls, err = systemd.Pulls(ctx, units); err != nil {
			k.Notes = append(k.Notes, fmt.Sprintf("who would start a suspect along is not known: %v", err))
		}
	}
	if p.Mode != ModeNormal {
		k.Notes = append(k.Notes, fmt.Sprintf("%s=%s is on the kernel command line", CommandLineKey, p.Mode))
	}
	rows := MakePlan(k.Set, holds, view, resolved, p)
	return k.lay(rows, resolved, p)
}

// lay puts the rows of a plan into batches.
func (k Known) lay(rows []Row, resolved map[string]Resolution, p Policy) Preview {
	preview := Preview{Batches: []Batch{}, NotStarted: []Planned{}, Notes: k.Notes}
	expect := Expect(k.History)
	for _, row := range rows {
		c := Planned{Name: row.Name, Tier: row.Tier, Unit: row.Unit, Generated: row.Generated, State: row.State,
			Why: row.Error, EarlierStarts: len(expect[row.Name])}
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
		if n < 0 || preview.Batches[n].Alone != row.Alone || !row.Alone && preview.Batches[n].Tier != row.Tier {
			preview.Batches = append(preview.Batches, Batch{Tier: row.Tier, Alone: row.Alone})
			n++
		}
		preview.Batches[n].Containers = append(preview.Batches[n].Containers, c)
	}
	for i := range preview.Batches {
		preview.Batches[i].expect(expect, p)
		preview.Unknown += preview.Batches[i].Unknown
	}
	var took time.Duration
	preview.CriticalPath, took = criticalPath(preview.Batches, p)
	preview.ExpectedSeconds = took.Seconds()
	return preview
}

func (b *Batch) expect(e Expectations, p Policy) {
	var names []string
	for _, c := range b.Containers {
		names = append(names, c.Name)
	}
	b.took, b.Slowest, b.Unknown = e.Tier(names)
	if b.Alone { // one after the other, each with its probation
		b.took = 0
		for _, name := range names {
			d, _ := e.Start(name)
			b.took += d + p.Probation
		}
	}
	b.ExpectedSeconds = b.took.Seconds()
}

// criticalPath is what READY waits for: in each tier the slowest, as far as the
// tier's deadline lets it hold up the next one.
func criticalPath(batches []Batch, p Policy) (path []Step, took time.Duration) {
	path = []Step{}
	var before []Step
	var begin time.Duration
	for _, b := range batches {
		var steps []Step
		var held []Step // as the next tier sees them
		if b.Alone {
			begin, before = took, path // all others have ended
			for _, c := range b.Containers {
				seconds := p.Probation.Seconds()
				if c.ExpectedSeconds != nil {
					seconds += *c.ExpectedSeconds
				}
				steps = append(steps, Step{Tier: c.Tier, Alone: true, Name: c.Name, Seconds: seconds})
			}
			held = steps
		} else if b.Slowest != "" {
			steps = []Step{{Tier: b.Tier, Name: b.Slowest, Seconds: b.took.Seconds()}}
			held = []Step{{Tier: b.Tier, Name: b.Slowest, Seconds: min(b.took, p.TierDeadline).Seconds()}}
		}
		if len(steps) > 0 && begin+b.took >= took {
			took, path = begin+b.took, slices.Concat(before, steps)
		}
		before = slices.Concat(before, held)
		begin += min(b.took, p.TierDeadline)
	}
	return path, took
}

// afterPowerCut is the view as it would be when the machine is back: nothing
// runs.
func (v View) afterPowerCut() View {
	v.sightings = maps.Clone(v.sightings)
	for name, s := range v.sightings {
		s.State = "exited"
		v.sightings[name] = s
	}
	return v
}

// generatesNothing is podman, but names the unit that it would generate.
type generatesNothing struct{ Podman }

func (generatesNothing) GenerateUnit(_ context.Context, name string) (unit, text string, err error) {
	return "container-" + name + ".service", "", nil
}

// installsNothing is systemd, left as it is.
type installsNothing struct{ Systemd }

func (installsNothing) Install(context.Context, map[string]string) error { return nil }
