package recovery

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/artifact"
	"archy-recovery/test/machine"
)

// A reason is why a container cannot be started. It has podman's words and the ID of
// docs/failures.md.
type reason struct {
	id    string
	words string // a part of podman's line, or of the program's
	cause string // a part of the cause, "" for any
}

// Each failed start is named by its cause, and quotes what was written for it.
func TestFailuresNamed(t *testing.T) {
	onBothInstances(t, "RetryPauseSec=1\n", func(n *node) {
		n.foreignImage()
		stored := n.storedName()
		n.takenPort()
		name := n.takenName()
		quadlet := func(name, image, lines string) {
			n.Quadlet(n.uid, name+".container", fmt.Sprintf("[Container]\nContainerName=%s\nImage=%s\n%s\n", name, image, lines))
		}
		network := "Network=podman"
		if n.uid != 0 {
			network = "Network=pasta"
		}
		quadlet("noimage", "localhost/nothere:1", "Pull=never")
		quadlet("noport", machine.Image, network+"\nPublishPort=127.0.0.1:5000:80")
		quadlet("nosource", machine.Image, "Volume=/srv/nothere:/data")
		quadlet("nodevice", machine.Image, "AddDevice=/dev/nothere")
		quadlet("nonetwork", machine.Image, "Network=nothere")
		quadlet("noexec", foreignImage, "")
		quadlet("exits", machine.Image, "Exec=-needs database")
		n.plain("good", 3)
		n.enable()
		n.waitSaved("good")
		want := map[string]reason{
			stored:      {id: "name-in-use-storage", words: "in use by an external entity"},
			name:        {id: "name-in-use", words: `the container name "` + name + `" is already in use`},
			"noimage":   {id: "image-missing", words: "localhost/nothere:1"},
			"noport":    {id: "port-taken", words: "ddress already in use", cause: "taken.socket listens on it"},
			"nosource":  {id: "bind-source-missing", words: "/srv/nothere"},
			"nodevice":  {id: "device-missing", words: "/dev/nothere"},
			"nonetwork": {id: "network-missing", words: "unable to find network with name or ID nothere"},
			"noexec":    {id: "exec-format", words: "xec format error"},
			"exits":     {id: "exit-code", words: "testapp: database is not ready"},
		}
		n.wantReasons(want)
	})
}

// The words of podman 4.3 are known, too.
func TestFailuresNamedOnDebian12(t *testing.T) {
	t.Parallel()
	m := machine.Start(t, machine.WithSpec(machine.Spec{Suite: "bookworm"}))
	n := &node{m, t, 0, m.As(0)}
	n.Install(artifact.Package(t))
	n.configure("RetryPauseSec=1\n")
	n.runFirstPodman()
	n.foreignImage()
	name := n.takenName()
	n.plain("good", 3)

	// podman generates a unit of a container that is well. The faults come afterwards,
	// as in life. systemd does not restart these units, so that each start is ours.
	n.generated("template", 3, true)
	n.user.Systemctl("stop", "container-template")
	template, err := n.ReadFile("/etc/systemd/system/container-template.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := func(name, options, image, arguments string) {
		t.Helper()
		text := strings.ReplaceAll(template, "template", name)
		text = strings.Replace(text, "Restart=on-failure", "Restart=no", 1)
		changed := strings.Replace(text, machine.Image, options+" "+image+" "+arguments, 1)
		if changed == text {
			t.Fatalf("the unit of podman does not name the image:\n%s", text)
		}
		n.WriteFile("/etc/systemd/system/container-"+name+".service", changed, 0o644, 0)
	}
	unit("noimage", "--pull=never", "localhost/nothere:1", "")
	unit("nosource", "--volume=/srv/nothere:/data", machine.Image, "")
	unit("nodevice", "--device=/dev/nothere", machine.Image, "")
	unit("nonetwork", "--network=nothere", machine.Image, "")
	unit("noexec", "", foreignImage, "")
	unit("exits", "", machine.Image, "-needs database")
	n.user.Reload()
	n.enable()
	n.waitSaved("good")
	n.wantReasons(map[string]reason{
		name:        {id: "name-in-use", words: `the container name "` + name + `" is already in use`},
		"noimage":   {id: "image-missing", words: "localhost/nothere:1"},
		"nosource":  {id: "bind-source-missing", words: "/srv/nothere"},
		"nodevice":  {id: "device-missing", words: "/dev/nothere"},
		"nonetwork": {id: "network-missing", words: "unable to find network with name or ID nothere"},
		"noexec":    {id: "exec-format", words: "xec format error"},
		"exits":     {id: "exit-code", words: "testapp: database is not ready"},
	})
}

// foreignImage is an image whose program this machine cannot execute.
const foreignImage = "localhost/foreign:1"

func (n *node) foreignImage() {
	n.t.Helper()
	n.user.MustRun("sh", "-c", `mkdir /var/tmp/foreign && cd /var/tmp/foreign && echo "no program" >app && chmod 755 app &&
		tar -cf - app | podman import --change 'ENTRYPOINT ["/app"]' - `+foreignImage)
}

// takenPort has systemd listen on port 5000 from the boot on.
func (n *node) takenPort() {
	n.t.Helper()
	n.WriteFile("/etc/systemd/system/taken.socket",
		"[Socket]\nListenStream=127.0.0.1:5000\n[Install]\nWantedBy=sockets.target\n", 0o644, 0)
	n.WriteFile("/etc/systemd/system/taken.service", "[Service]\nExecStart=/bin/true\n", 0o644, 0)
	n.MustRun("systemctl", "enable", "taken.socket")
}

// takenName makes a unit that runs a new container, whose name another container
// has. It returns the name.
func (n *node) takenName() string {
	n.t.Helper()
	const name = "taken"
	n.unitOfNew(name)
	n.user.MustRun("podman", "create", "--name", name, machine.Image)
	return name
}

// storedName makes a unit that runs a new container, whose name one has that only
// podman's storage knows: podman's database is lost, as after a crash. It is to be called
// before there are other containers. It returns the name.
func (n *node) storedName() string {
	n.t.Helper()
	const name = "stored"
	n.unitOfNew(name)
	n.user.MustRun("podman", "create", "--name", name, machine.Image)
	n.user.MustRun("sh", "-c", `rm "$(podman info --format '{{.Store.GraphRoot}}')"/db.sql*`)
	return name
}

// unitOfNew makes a unit that runs a new container. Quadlet would replace one that has
// the name.
func (n *node) unitOfNew(name string) {
	n.t.Helper()
	dir := "/etc/systemd/system/"
	if n.uid != 0 {
		dir = "/home/archy/.config/systemd/user/"
	}
	n.WriteFile(dir+"name"+name+".service", "[Service]\nType=notify\nNotifyAccess=all\n"+
		"Environment=PODMAN_SYSTEMD_UNIT=%n\nExecStart=/usr/bin/podman run --rm --sdnotify=conmon --detach --name "+
		name+" "+machine.Image+"\n", 0o644, n.uid)
	n.user.Reload()
}

// wantReasons cuts the power while these containers and good should run, and checks
// what is said of the failures.
func (n *node) wantReasons(want map[string]reason) {
	n.t.Helper()
	names := slices.Sorted(maps.Keys(want))
	n.cutPower(append([]string{"good"}, names...)...)
	n.Boot()
	n.waitRecovered()
	w := n.watch()
	st, _ := w.tryAwait(20*time.Second, "all causes", func(st shownStatus) bool { // READY does not wait for them
		return !slices.ContainsFunc(names, func(name string) bool {
			row := st.row(name)
			return len(row.Attempts) == 0 || row.Attempts[len(row.Attempts)-1].Why == nil
		})
	})
	text := n.shown()
	for _, name := range names {
		row := st.row(name)
		if row.State != recover.RowFailed && row.State != recover.RowFell {
			n.t.Errorf("%s is %q: %s", name, row.State, row.Error)
		}
		n.wantReason(row, want[name], text)
	}
	if row := st.row("good"); row.State != recover.RowUp {
		n.t.Errorf("good is %s: %s", row.State, row.Error)
	}
	n.wantNotAllRecovered()
}

// wantReason checks one row's cause, and that status and journal give it.
func (n *node) wantReason(row shownRow, want reason, text string) {
	n.t.Helper()
	name := row.Name
	// The test is about these words, so they must be there.
	all := n.Journal("-b", "-o", "cat")
	if !strings.Contains(all, want.words) {
		n.t.Errorf("the fault of %s is another one than %s: %s", name, want.id, n.Journal("-b", "-g", name))
	}
	if len(row.Attempts) == 0 || row.Attempts[len(row.Attempts)-1].Why == nil {
		n.t.Errorf("%s: no cause is named, want %s: %+v", name, want.id, row.Attempts)
		return
	}
	for i, attempt := range row.Attempts {
		why := attempt.Why
		if why == nil {
			n.t.Errorf("%s: attempt %d has no cause", name, i+1)
			continue
		}
		if why.Reason != want.id || why.Cause == "" || why.Advice == "" || !strings.Contains(why.Cause, want.cause) {
			n.t.Errorf("%s: attempt %d has the cause %+v, want %s", name, i+1, *why, want.id)
		}
		if !strings.Contains(strings.Join(why.Output, "\n"), want.words) {
			n.t.Errorf("%s: attempt %d quotes %q, want %q", name, i+1, why.Output, want.words)
		}
	}
	cause := row.Attempts[len(row.Attempts)-1].Why.Cause
	said := func(l string) bool {
		fields := strings.Fields(l) // TIER CONTAINER …
		return len(fields) > 1 && fields[1] == name && strings.Contains(l, cause)
	}
	if !slices.ContainsFunc(strings.Split(text, "\n"), said) {
		n.t.Errorf("the status does not say of %s that %s:\n%s", name, cause, text)
	}
	log := n.Journal("-b", "-o", "cat", "-u", n.unit(), "-p", "warning", "CONTAINER="+name)
	if !strings.Contains(log, cause) {
		n.t.Errorf("no warning in the journal says of %s that %s:\n%s", name, cause, log)
	}
}
