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

func (f Journal) Events(_ context.Context, boot string, _ time.Duration) ([]recover.HostEvent, error) {
	if f.H.InBoot != "" && boot != f.H.InBoot {
		return nil, f.H.JournalErr
	}
	return f.H.Events, f.H.JournalErr
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

func (f Journal) Now() time.Duration { return time.Hour }
