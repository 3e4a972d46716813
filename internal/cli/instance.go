package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/units"

	"github.com/spf13/cobra"
)

// An instance is the system one, or that of a user.
type instance struct {
	uid    int
	system bool
}

// instanceFlags pick the instance: the system one for root, one's own uid
// otherwise, unless told.
type instanceFlags struct {
	system bool
	uid    int
}

func (f *instanceFlags) register(root *cobra.Command) {
	root.PersistentFlags().BoolVar(&f.system, "system", false, "the instance for rootful containers (root's default)")
	root.PersistentFlags().IntVar(&f.uid, "uid", -1, "the instance for the rootless containers of user `N`")
	root.PersistentFlags().Lookup("uid").DefValue = "0" // which help leaves out: -1 is nobody's default
}

func (f *instanceFlags) pick() (instance, error) {
	switch {
	case f.uid < -1:
		return instance{}, exitCode{exitUsage, fmt.Errorf("--uid=%d is no user", f.uid)}
	case f.system && f.uid >= 0:
		return instance{}, exitCode{exitUsage, errors.New("--system and --uid exclude each other")}
	case f.system, f.uid < 0 && os.Getuid() == 0:
		return instance{system: true}, nil
	case f.uid >= 0:
		return instance{uid: f.uid}, nil
	}
	return instance{uid: os.Getuid()}, nil
}

// name is what unit names and files call the instance: "" or the UID.
func (i instance) name() string {
	if i.system {
		return ""
	}
	return strconv.Itoa(i.uid)
}

// flag picks the instance in a command that we advise; it is empty where that
// is what the caller gets anyway.
func (i instance) flag() string {
	switch mine, _ := (&instanceFlags{uid: -1}).pick(); {
	case i == mine:
		return ""
	case i.system:
		return " --system"
	}
	return " --uid " + i.name()
}

// instances are those whose sockets are there.
func instances() (all []instance) {
	entries, _ := os.ReadDir(socketDir) // none without the directory
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".sock")
		uid, err := strconv.Atoi(name)
		switch {
		case ok && name == "control":
			all = append(all, instance{system: true})
		case ok && err == nil:
			all = append(all, instance{uid: uid})
		}
	}
	return all
}

// title is what people call it.
func (i instance) title() string {
	if i.system {
		return "system"
	}
	return i.name()
}

func (i instance) unit() string {
	if i.system {
		return "archy-recovery.service"
	}
	return "archy-recovery@" + i.name() + ".service"
}

func (i instance) socketUnit() string {
	return strings.TrimSuffix(i.unit(), ".service") + ".socket"
}

// socketDir is where the sockets are; tests have their own.
var socketDir = "/run/archy-recovery/"

func (i instance) timerUnit() string {
	return strings.Replace(strings.TrimSuffix(i.unit(), ".service"), "archy-recovery", "archy-recovery-snapshot", 1) + ".timer"
}

func (i instance) socket() string {
	if i.system {
		return socketDir + "control.sock"
	}
	return socketDir + i.name() + ".sock"
}

func (i instance) podmanSocket() string {
	if i.system {
		return "/run/podman/podman.sock"
	}
	return fmt.Sprintf("/run/user/%d/podman/podman.sock", i.uid)
}

func (i instance) dataDirectory() string {
	if i.system {
		return "/var/lib/archy-recovery"
	}
	return "/var/lib/archy-recovery/" + i.name()
}

// manager is the systemd that runs the instance's containers.
func (i instance) manager() *units.Manager {
	if i.system {
		return units.New(units.SystemBus, "/run/systemd/system", i.unit())
	}
	return units.New(units.UserBus(i.uid), fmt.Sprintf("/run/user/%d/systemd/user", i.uid), "")
}

func (i instance) client() *control.Client { return control.NewClient(i.socket()) }

// explain says what to do about an error of the client.
func (i instance) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the daemon of the %s instance has ended meanwhile: see systemctl status %s", i.title(), i.unit())
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return exitCode{exitNoDaemon, fmt.Errorf("no daemon for the %s instance: %w; %s%s", i.title(), err, i.advice(), i.others())}
	case errors.Is(err, fs.ErrPermission):
		return exitCode{exitNoDaemon, fmt.Errorf("no access to the %s instance: %w; be root, uid %s, or in the group archy-recovery", i.title(), err, i.name())}
	}
	return err
}

// others names the instances that are there: who asks for the wrong one had
// better not enable that.
func (i instance) others() string {
	var flags []string
	for _, other := range instances() {
		if other != i {
			flags = append(flags, strings.TrimSpace(cmp.Or(other.flag(), " --uid "+other.name())))
		}
	}
	if len(flags) == 0 {
		return ""
	}
	return "; or did you mean " + strings.Join(flags, ", or ") + "?"
}

// advice says how to get a daemon that does not answer: what systemd says of it
// decides.
func (i instance) advice() string {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	host := instance{system: true}.manager()
	defer host.Close()
	// systemd says in the socket's result that the service was started too
	// often; the service's own still tells how it ended before.
	socket, err := host.Failure(ctx, i.socketUnit())
	why, serviceErr := host.Failure(ctx, i.unit())
	switch {
	case err == nil && socket == "service-start-limit-hit", serviceErr == nil && why == "start-limit-hit":
		return fmt.Sprintf("it was started too often in a row. What was to be recovered is remembered. See why with journalctl -u %[1]s, then: "+
			"systemctl reset-failed %[1]s %[2]s; systemctl start %[1]s", i.unit(), i.socketUnit())
	case serviceErr == nil && why != "":
		return fmt.Sprintf("it failed (%[1]s): see journalctl -u %[2]s, then: systemctl restart %[2]s", why, i.unit())
	}
	return "enable it with: systemctl enable --now " + i.unit()
}

// adviseOnDirectory says how to have the service write to a data directory that
// its sandbox, or the directory's owner, keeps it from.
func (i instance) adviseOnDirectory(path string, err error) error {
	settings := "ReadWritePaths=" + path
	for _, hidden := range []string{"/home/", "/root/", "/run/user/"} {
		if strings.HasPrefix(path+"/", hidden) {
			settings = "ProtectHome=tmpfs\n    BindPaths=" + path
		}
	}
	return fmt.Errorf(`%[1]w
The service may write to its own directories only. To have it use this one, make it:

    install -d -o %[2]d %[3]s

add /etc/systemd/system/%[4]s.d/data-directory.conf with

    [Service]
    %[5]s

and then: systemctl daemon-reload; systemctl restart %[4]s`, err, i.uid, path, i.unit(), settings)
}
