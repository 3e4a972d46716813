package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"archy-recovery/internal/config"
	"archy-recovery/internal/control"
	"archy-recovery/internal/journal"
	"archy-recovery/internal/logging"
	"archy-recovery/internal/podman"
	"archy-recovery/internal/pressure"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/sdnotify"
	"archy-recovery/internal/state"
	"archy-recovery/internal/units"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/spf13/cobra"
)

func newDaemon(at *instanceFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "daemon",
		Short: "Recover, then keep the running set (what the service unit runs)",
		Args:  exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := at.pick()
			if err != nil {
				return err
			}
			return runDaemon(cmd.Context(), i)
		},
	}
}

// runDaemon plugs the packages together and runs until ctx ends.
func runDaemon(ctx context.Context, i instance) error {
	conf, problems := config.Load(os.DirFS("/"), i.name())
	log := logging.New(level(conf))
	for _, problem := range problems {
		log.Warn("configuration: "+problem.Error(), "MESSAGE_ID", recover.MsgConfiguration)
	}
	conf.Policy.Mode = kernelMode(log)
	if !i.system && os.Getuid() != i.uid {
		return fmt.Errorf("the instance %s has to run as uid %s, not %d: start %s instead", i.title(), i.title(), os.Getuid(), i.unit())
	}

	path := dataDirectory(conf, i)
	dir, err := state.Open(path, func(text, file string, err error) {
		log.Warn("damaged state: "+text, "MESSAGE_ID", recover.MsgStateDamaged, "file", file, "error", err)
	})
	if errors.Is(err, state.ErrNotOurs) {
		return exitCode{exitConfig, i.adviseOnDirectory(path, err)}
	}
	if err != nil {
		return err
	}
	defer dir.Close()

	manager := i.manager()
	defer manager.Close()
	identity, err := identify(ctx, log)
	if err != nil {
		return err
	}
	notifier := sdnotify.New(log)
	frugal := &frugalNotifier{Notifier: notifier, log: log}
	defer frugal.stop()
	client := podman.New(i.podmanSocket(), wakePodman(manager))
	service := recover.NewService(recover.World{
		Store:    dir,
		Podman:   client,
		Systemd:  manager,
		Journal:  journal.NewReader(i.unit(), os.Getuid()),
		Notifier: frugal,
		Gauge:    pressure.Host,
		Log:      log,

		PodmanFirst: !i.system,
		Others: struct {
			*units.Manager
			*podman.Client
		}{manager, client},
	}, conf.Policy, identity)

	listener, err := activated()
	if err != nil {
		return err
	}
	api := control.NewServer(service, i.title(), version, os.Getuid(), log)
	host := instance{system: true}.manager() // also for a user's instance: whoever asks may be of any unit
	defer host.Close()
	api.AskUnits(host.UnitOf)
	api.WhenQuiet(frugal.unmap)
	return serve(ctx, service, notifier, listener, api, log)
}

// serve runs the service with its API and its watchdog beside it.
func serve(ctx context.Context, service *recover.Service, notifier *sdnotify.Notifier, listener net.Listener, api *control.Server, log *slog.Logger) error {
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	var others sync.WaitGroup
	others.Go(func() { notifier.Watchdog(beside.Done(), func() { service.Phase() }) })
	if listener == nil {
		log.Warn("no socket was handed over, so there is no control API: is this run by hand?", "MESSAGE_ID", recover.MsgImpaired)
	} else {
		others.Go(func() {
			if err := api.Serve(beside, listener); err != nil {
				log.Error("the control API has ended", "MESSAGE_ID", recover.MsgImpaired, "error", err)
			}
		})
	}
	err := service.Run(ctx)
	stop()
	others.Wait()
	if errors.Is(err, recover.ErrAlreadyRunning) {
		return exitCode{exitAlreadyRunning, err}
	}
	return err
}

func level(c config.Config) slog.Level {
	if c.Debug {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// kernelMode is what the kernel command line asks for.
func kernelMode(log *slog.Logger) recover.Mode {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		log.Warn("the kernel command line cannot be read", "MESSAGE_ID", recover.MsgConfiguration, "error", err)
	}
	mode, err := config.KernelMode(string(line))
	if err != nil {
		log.Warn(err.Error(), "MESSAGE_ID", recover.MsgConfiguration)
	}
	return mode
}

// dataDirectory is by configuration, then by StateDirectory= of the unit, then
// where that would be.
func dataDirectory(c config.Config, i instance) string {
	switch {
	case c.DataDirectory != "":
		return c.DataDirectory
	case os.Getenv("STATE_DIRECTORY") != "":
		return os.Getenv("STATE_DIRECTORY")
	}
	return i.dataDirectory()
}

// bootIDVariable is how the service unit hands over its %b.
const bootIDVariable = "ARCHY_RECOVERY_BOOT_ID"

// identify asks the system manager, also for a user's instance: soft-reboots
// are the host's.
func identify(ctx context.Context, log *slog.Logger) (recover.Identity, error) {
	host := instance{system: true}.manager()
	defer host.Close()
	softReboots, err := host.SoftReboots(ctx)
	if err != nil {
		log.Warn("soft-reboots cannot be told from service crashes", "MESSAGE_ID", recover.MsgImpaired, "error", err)
	}
	return state.Here(os.Getenv(bootIDVariable), softReboots)
}

// wakePodman starts podman.socket in the manager that runs the containers.
func wakePodman(m *units.Manager) func(context.Context) error {
	return func(ctx context.Context) error {
		o, err := m.Start(ctx, "podman.socket")
		if err == nil && o.Active != "active" {
			err = fmt.Errorf("podman.socket is %s (%s)", o.Active, o.Job)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		// Only the words: that this unit is masked does not say so of the
		// container's for which podman was asked.
		return errors.New(err.Error())
	}
}

// activated is the socket that systemd handed over (sd_listen_fds(3)), nil
// without one.
func activated() (net.Listener, error) {
	listeners, err := activation.Listeners()
	if err != nil {
		return nil, err
	}
	if len(listeners) == 0 || listeners[0] == nil {
		return nil, nil
	}
	return listeners[0], nil
}
