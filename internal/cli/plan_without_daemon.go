package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"archy-recovery/internal/podman"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/survey"
	"archy-recovery/internal/state"
)

// planWithoutDaemon makes the plan from the data directory. It takes no lock,
// starts no podman and writes nothing. If the data directory has no snapshot, the
// error is clientErr, with which the daemon could not be asked.
func (i Instance) planWithoutDaemon(ctx context.Context, clientErr error) (recover.Preview, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conf, problems := i.loadConfig()
	conf.Policy.Mode, _ = KernelMode() // the daemon logs the error
	var known recover.Known
	for _, p := range problems {
		known.Notes = append(known.Notes, "configuration: "+p.Error())
	}
	dir, err := i.openDataDirectory(conf, &known.Notes)
	if err != nil {
		return recover.Preview{}, errors.Join(clientErr, err)
	}
	snapshot, err := dir.Snapshot()
	switch {
	case errors.Is(err, recover.ErrNone): // the daemon never ran here
		return recover.Preview{}, clientErr
	case err != nil:
		return recover.Preview{}, err
	}
	known.Set = snapshot.Containers
	known.Notes = append(known.Notes, fmt.Sprintf("no daemon answers: this is from its files in %s, as of %s",
		i.DataDirectory(conf), savedAt(snapshot)))
	if !dir.Running() {
		known.Notes = append(known.Notes, "the last run ended in order, so a crash of the machine goes unnoticed "+
			"until the daemon is started again: systemctl start "+i.Unit())
	}
	readLists(dir, &known)
	if err := i.switchToOwner(); err != nil {
		known.Notes = append(known.Notes, err.Error())
	}
	manager := i.Manager()
	defer manager.Close()
	doNotWake := func(context.Context) error {
		return errors.New("podman.socket is not active, and this command does not start it")
	}
	patient := survey.NewPatient(podman.New(i.PodmanSocket(), doNotWake))
	defer patient.Close()
	host := survey.Host{Podman: patient, Systemd: manager}
	return host.Preview(ctx, known, conf.Policy), nil
}

// readLists reads what recovery takes into account besides the snapshot. A list
// that cannot be read becomes a note.
func readLists(dir *state.Reader, known *recover.Known) {
	var err error
	if known.UserStopped, err = dir.UserStopped(); err != nil {
		known.UserStoppedLost = true
		known.Notes = append(known.Notes, err.Error())
	}
	book, err := dir.Quarantine()
	if err != nil {
		known.Notes = append(known.Notes, err.Error())
	}
	known.Quarantine = book.Suspects
	if known.History, err = dir.Reports(); err != nil {
		known.Notes = append(known.Notes, err.Error())
	}
}
