package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"archy-recovery/internal/config"
	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/state"
)

// absent reports whether an error of the client says that no daemon can be
// asked, so that its files have to do.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrPermission)
}

// files opens the data directory to read. What is damaged there is told to
// notes.
func (i instance) files(conf config.Config, notes *[]string) (*state.Reader, error) {
	return state.Read(dataDirectory(conf, i), func(text, file string, err error) {
		*notes = append(*notes, fmt.Sprintf("%s %s: %v", file, text, err))
	})
}

// history is the recoveries that are remembered, by the daemon or, without one,
// by its files.
func (i instance) history(ctx context.Context) ([]recover.Report, error) {
	answer, err := i.client().Recoveries(ctx)
	if err == nil {
		return answer.Recoveries, nil
	}
	if absent(err) {
		if reports := i.historyFiles(); len(reports) > 0 {
			return reports, nil
		}
	}
	return nil, i.explain(err)
}

// historyFiles is what can be read of the history without a daemon.
func (i instance) historyFiles() []recover.Report {
	conf, _ := config.Load(os.DirFS("/"), i.name())
	var notes []string
	dir, err := i.files(conf, &notes)
	if err != nil {
		return nil
	}
	reports, _ := dir.Reports()
	return reports
}

// report is the recovery that id names; without an ID the one that is under
// way, or else the last one.
func (i instance) report(ctx context.Context, id string) (recover.Report, error) {
	if id == "" {
		if st, err := i.client().Status(ctx); err == nil && !st.RecoveryComplete && st.State == recover.Recovering {
			return local(underWay(st)), nil
		}
	}
	reports, err := i.history(ctx)
	if err != nil {
		return recover.Report{}, err
	}
	r, err := recover.PickReport(reports, id)
	return local(r), err
}

// underWay is the report of a recovery that is not in the history yet.
func underWay(st control.Status) recover.Report {
	return recover.Report{ID: st.RecoveryID, BootID: st.BootID, Mode: st.Mode, Verdict: st.Verdict,
		Started: st.Started, Finished: st.Finished, Rows: st.Containers, Notes: st.Notes}
}

// local has the times that people read in their own time zone.
func local(r recover.Report) recover.Report {
	here := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return t.Local()
	}
	r.Started, r.Finished = here(r.Started), here(r.Finished)
	r.Verdict.Evidence = slices.Clone(r.Verdict.Evidence)
	for n := range r.Verdict.Evidence {
		r.Verdict.Evidence[n].Time = here(r.Verdict.Evidence[n].Time)
	}
	return r
}
