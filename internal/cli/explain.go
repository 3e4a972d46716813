package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"time"
)

// explain adds to an error of the client what the user can do about it. An
// error that is explained already stays as it is.
func (i Instance) explain(err error) error {
	var explained ExitError
	switch {
	case err == nil, errors.As(err, &explained):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the daemon of the %s instance has ended meanwhile: see systemctl status %s", i.Title(), i.Unit())
	case noSocket(err):
		return ExitError{ExitNoDaemon, fmt.Errorf("no daemon for the %s instance: %w; %s%s",
			i.Title(), err, i.adviceToStart(), i.otherInstances())}
	case errors.Is(err, fs.ErrPermission):
		allowed := "root"
		if !i.System {
			allowed += ", uid " + i.Name() + ","
		}
		return ExitError{ExitNoDaemon, fmt.Errorf(
			"no access to the %s instance: %w. Only %s and members of the group archy-recovery have access",
			i.Title(), err, allowed)}
	}
	return err
}

// noSocket reports whether an error of the client means that no daemon listens.
func noSocket(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// noDaemon reports whether an error of the client means that there is no daemon
// that the user can ask. Some verbs then read its files.
func noDaemon(err error) bool {
	return noSocket(err) || errors.Is(err, fs.ErrPermission)
}

// otherInstances names the instances that do have a socket: the user may have
// picked the wrong one.
func (i Instance) otherInstances() string {
	var flags []string
	for _, other := range instances() {
		if other != i {
			flags = append(flags, strings.TrimSpace(cmp.Or(other.flag(), " --uid "+other.Name())))
		}
	}
	if len(flags) == 0 {
		return ""
	}
	return "; or did you mean " + strings.Join(flags, ", or ") + "?"
}

// adviceToStart says how to start the daemon. It depends on how systemd says
// that the service ended.
func (i Instance) adviceToStart() string {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	manager := SystemManager()
	defer manager.Close()
	// After too many starts, the socket's result says so; the service's result
	// still says how the service ended before.
	socketResult, socketErr := manager.Failure(ctx, i.socketUnit())
	result, err := manager.Failure(ctx, i.Unit())
	switch {
	case socketErr == nil && socketResult == "service-start-limit-hit", err == nil && result == "start-limit-hit":
		return fmt.Sprintf("systemd gave up after too many starts in a row. The snapshot is kept. "+
			"Find the reason with journalctl -u %[1]s, then: "+
			"systemctl reset-failed %[1]s %[2]s; systemctl start %[1]s", i.Unit(), i.socketUnit())
	case err == nil && result != "":
		return fmt.Sprintf("the service failed (%[1]s). Find the reason with journalctl -u %[2]s, then: "+
			"systemctl restart %[2]s", result, i.Unit())
	}
	return "enable it with: systemctl enable --now " + i.Unit()
}
