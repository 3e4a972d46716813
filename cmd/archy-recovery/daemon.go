package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"archy-recovery/internal/cli"
	"archy-recovery/internal/config"
	"archy-recovery/internal/control"
	"archy-recovery/internal/daemon"
	"archy-recovery/internal/journal"
	"archy-recovery/internal/logging"
	"archy-recovery/internal/podman"
	"archy-recovery/internal/podmancmd"
	"archy-recovery/internal/pressure"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/sdnotify"
	"archy-recovery/internal/state"
	"archy-recovery/internal/units"

	"github.com/coreos/go-systemd/v22/activation"
)

// runDaemon connects the packages and runs the daemon of i until ctx ends.
func runDaemon(ctx context.Context, i cli.Instance) error {
	conf, problems := config.Load(os.DirFS("/"), i.Name())
	log := logging.New(logLevel(conf))
	for _, problem := range problems {
		log.Warn("configuration: "+problem.Error(), "MESSAGE_ID", recover.MsgConfiguration)
	}
	mode, err := cli.KernelMode()
	if err != nil {
		log.Warn(err.Error(), "MESSAGE_ID", recover.MsgConfiguration)
	}
	conf.Policy.Mode = mode
	if !i.System && os.Getuid() != i.UID {
		return fmt.Errorf("the daemon of uid %d must run as that user, not as uid %d. Start it with: systemctl start %s",
			i.UID, os.Getuid(), i.Unit())
	}

	path := i.DataDirectory(conf)
	dir, err := state.Open(path, func(text, file string, err error) {
		log.Warn("damaged state: "+text, "MESSAGE_ID", recover.MsgStateDamaged, "file", file, "error", err)
	})
	if errors.Is(err, state.ErrNotOurs) {
		return cli.ExitError{Code: cli.ExitNotWritable, Err: explainNotWritable(i, path, err)}
	}
	if errors.Is(err, state.ErrNewer) {
		return cli.ExitError{Code: cli.ExitNotWritable, Err: err}
	}
	if err != nil {
		return err
	}
	defer dir.Close()

	manager := i.Manager()
	defer manager.Close()
	identity, err := identify(ctx, log)
	if err != nil {
		return err
	}
	notifier := sdnotify.New(log)
	memory := newMemoryReleaser(notifier)
	defer memory.stop()
	client := podman.New(i.PodmanSocket(), podmanWaker(manager))
	if program := starter(); program != "" {
		client.StartThrough(program)
	}
	journalReader := journal.NewReader(i.Unit(), os.Getuid())
	service := daemon.New(daemon.World{
		Store:    dir,
		Podman:   client,
		Systemd:  manager,
		Journal:  journalReader,
		Output:   journalReader,
		Ports:    portFinder{client},
		Rootless: !i.System,
		Notifier: memory,
		Gauge:    pressure.Host,
		Log:      log,

		PodmanFirst:  !i.System,
		StorageUnits: storageUnits{units.NewStorage(manager), i.StorageAnswer()},
		NetworkUnit:  networkUnitOf(i, manager),
		Mender:       client,
		Archives:     dir.Archives(),
		Autostart: struct {
			*units.Manager
			*podman.Client
		}{manager, client},
	}, conf.Policy, identity)

	listener, err := activationListener()
	if err != nil {
		return err
	}
	api := control.NewServer(service, i.Title(), version, os.Getuid(), log)
	host := cli.SystemManager() // also for a user's instance: a client may be of any unit
	defer host.Close()
	api.SetUnitLookup(host.UnitOf)
	api.SetBoots(journalReader.Boots)
	dropTextPagesWhenIdle(memory, api, log)
	return serve(ctx, service, notifier, listener, api, log)
}

// starter returns the program that starts containers through podman's service, "" if it is not
// installed beside this one: bin/archy-recovery has lib/archy-recovery/start-container.
func starter() string {
	self, err := os.Executable()
	if err != nil {
		return "" // then podman start starts each container
	}
	program := filepath.Join(filepath.Dir(self), "..", "lib", "archy-recovery", podmancmd.Starter)
	if info, err := os.Stat(program); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return ""
	}
	return program
}

// A portFinder finds what has a port.
type portFinder struct{ *podman.Client }

// SocketOn asks the host's manager, also for a user's instance. It keeps no connection:
// that of the host's bus would wake the daemon with each job.
func (portFinder) SocketOn(ctx context.Context, port int) (string, error) {
	host := cli.SystemManager()
	defer host.Close()
	return host.SocketOn(ctx, port)
}

// serve runs the service, and beside it the API on listener and the watchdog. It
// returns when the service ends.
func serve(ctx context.Context, service *daemon.Service, notifier *sdnotify.Notifier,
	listener net.Listener, api *control.Server, log *slog.Logger,
) error {
	// The API answers and the watchdog is fed while the service stops.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { notifier.Watchdog(background.Done(), func() { service.Phase() }) })
	if listener == nil {
		log.Warn("there is no control API, because systemd passed no socket. Start the daemon with systemctl, not by hand",
			"MESSAGE_ID", recover.MsgImpaired)
	} else {
		running.Go(func() {
			if err := api.Serve(background, listener); err != nil {
				log.Error("the control API has ended", "MESSAGE_ID", recover.MsgImpaired, "error", err)
			}
		})
	}
	err := service.Run(ctx)
	stop()
	running.Wait()
	if errors.Is(err, daemon.ErrAlreadyRunning) {
		return cli.ExitError{Code: cli.ExitAlreadyRunning, Err: err}
	}
	return err
}

// logLevel is the lowest level that is logged.
func logLevel(c config.Config) slog.Level {
	if c.Debug {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// bootIDVariable is the environment variable in which the unit passes %b.
const bootIDVariable = "ARCHY_RECOVERY_BOOT_ID"

// identify returns the identity of this run. It asks the system manager for the
// number of soft-reboots, also for a user's instance.
func identify(ctx context.Context, log *slog.Logger) (recover.Identity, error) {
	host := cli.SystemManager()
	defer host.Close()
	softReboots, err := host.SoftReboots(ctx)
	if err != nil {
		log.Warn("cannot tell a soft-reboot from a crash of the service", "MESSAGE_ID", recover.MsgImpaired, "error", err)
	}
	return state.Here(os.Getenv(bootIDVariable), softReboots)
}

// podmanWaker returns a function that starts podman.socket in the manager that
// runs the containers.
func podmanWaker(m *units.Manager) func(context.Context) error {
	return func(ctx context.Context) error {
		o, err := m.Start(ctx, "podman.socket")
		if err == nil && o.Active != "active" {
			err = fmt.Errorf("podman.socket is %s (%s)", o.Active, o.Job)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		// The error is not wrapped. Callers look in it for what is wrong with the unit
		// of a container, such as that it is masked. This one is about podman.socket.
		return errors.New(err.Error())
	}
}

// activationListener is the socket that systemd passed (sd_listen_fds(3)), nil if
// it passed none.
func activationListener() (net.Listener, error) {
	listeners, err := activation.Listeners()
	if err != nil {
		return nil, err
	}
	if len(listeners) == 0 || listeners[0] == nil {
		return nil, nil
	}
	return listeners[0], nil
}

// explainNotWritable says how to give the service access to a data directory that
// its sandbox, or the owner of the directory, denies.
func explainNotWritable(i cli.Instance, path string, err error) error {
	settings := "ReadWritePaths=" + path
	for _, hidden := range []string{"/home/", "/root/", "/run/user/"} { // by ProtectHome=
		if strings.HasPrefix(path+"/", hidden) {
			settings = "ProtectHome=tmpfs\n    BindPaths=" + path
		}
	}
	return fmt.Errorf(`%[1]w
The service may write only to its own directories. To let it use this one, make it:

    install -d -o %[2]d %[3]s

add /etc/systemd/system/%[4]s.d/data-directory.conf with

    [Service]
    %[5]s

and then: systemctl daemon-reload; systemctl restart %[4]s`, err, i.UID, path, i.Unit(), settings)
}
