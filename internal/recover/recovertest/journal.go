package recovertest

import (
	"context"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/diagnosis"
)

// Journal answers as the journal does.
type Journal struct{ H *Host }

func (f Journal) BootEnd(context.Context, string, string) (recover.BootEnd, error) {
	return f.H.BootEnd, f.H.JournalErr
}

func (f Journal) ServiceEnd(context.Context, string) ([]recover.Sign, error) {
	return f.H.BootEnd.Tail, f.H.JournalErr
}

func (f Journal) Events(
	_ context.Context, boot string, since time.Duration, _ []string,
) ([]recover.HostEvent, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	f.H.AskedSince = append(f.H.AskedSince, since)
	if f.H.InBoot != "" && boot != f.H.InBoot {
		return nil, f.H.JournalErr
	}
	return f.H.Events, f.H.JournalErr
}

// EventsOf answers as Events does, or with EventsSince for the time that is asked for.
func (f Journal) EventsOf(
	ctx context.Context, boot string, since time.Duration, _ []recover.Container,
) ([]recover.HostEvent, error) {
	f.H.Mu.Lock()
	answer := f.H.EventsSince
	f.H.Mu.Unlock()
	if answer != nil {
		return answer(since)
	}
	return f.Events(ctx, boot, since, nil)
}

// Output tells what a test has Written for the containers.
func (f Journal) Output(
	_ context.Context, _ string, attempts []diagnosis.Attempt,
) ([][]diagnosis.Line, error) {
	f.H.Mu.Lock()
	defer f.H.Mu.Unlock()
	f.H.Asked = append(f.H.Asked, attempts)
	lines := make([][]diagnosis.Line, len(attempts))
	for i, a := range attempts {
		lines[i] = f.H.Written[a.Container]
	}
	return lines, f.H.JournalErr
}

func (f Journal) Volatile() bool { return f.H.VolatileJournal }

func (f Journal) Now() time.Duration {
	if f.H.JournalNow != nil {
		return f.H.JournalNow()
	}
	return time.Hour
}
