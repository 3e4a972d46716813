package cli

import (
	"context"
	"slices"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
)

// reports are the recoveries in the history, oldest first. The daemon has them;
// without a daemon its files have them.
func (i Instance) reports(ctx context.Context) ([]recover.Report, error) {
	answer, err := i.client().Recoveries(ctx)
	if err == nil {
		return answer.Recoveries, nil
	}
	if noDaemon(err) {
		if reports := i.reportsOnDisk(); len(reports) > 0 {
			return reports, nil
		}
	}
	return nil, i.explain(err)
}

// reportsOnDisk are the reports in the data directory that can be read.
func (i Instance) reportsOnDisk() []recover.Report {
	conf, _ := i.loadConfig()
	var notes []string // about lists, which are not read here
	dir, err := i.openDataDirectory(conf, &notes)
	if err != nil {
		return nil
	}
	reports, _ := dir.Reports()
	return reports
}

// askReport is the recovery that the argument [ID] names. Without an ID it is the
// recovery in progress, or else the last one.
func askReport(r request) (recover.Report, error) {
	id := idOf(r.args)
	if id == "" {
		st, err := r.client().Status(r.ctx())
		if err == nil && !st.RecoveryComplete && st.State == recover.Recovering {
			return inLocalTime(reportOf(st)), nil
		}
	}
	reports, err := r.reports(r.ctx())
	if err != nil {
		return recover.Report{}, err
	}
	report, err := recover.PickReport(reports, id)
	return inLocalTime(report), err
}

// reportOf is the report of a recovery in progress, which is not yet in the
// history.
func reportOf(st control.Status) recover.Report {
	return recover.Report{ID: st.RecoveryID, BootID: st.BootID, Mode: st.Mode, Verdict: st.Verdict,
		Started: st.Started, Finished: st.Finished, Rows: st.Containers, Notes: st.Notes}
}

// inLocalTime converts the times that are printed as they are.
func inLocalTime(r recover.Report) recover.Report {
	local := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return t.Local()
	}
	r.Started, r.Finished = local(r.Started), local(r.Finished)
	r.Verdict.Evidence = slices.Clone(r.Verdict.Evidence)
	for n := range r.Verdict.Evidence {
		r.Verdict.Evidence[n].Time = local(r.Verdict.Evidence[n].Time)
	}
	return r
}
