package recovery

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/artifact"
	"archy-recovery/test/machine"

	"github.com/google/go-cmp/cmp"
)

// A kind is a kind of container, and what becomes of it after a crash.
type kind struct {
	row   string // the first cell of its row in docs/kinds.md
	up    bool   // it is started again
	names string // its containers
	// files are in the owner's directory for Quadlet, or if the name begins with ~/, at home.
	files map[string]string
	// script makes it, as its owner. $CTL is systemctl for the owner's manager, $UNITS the
	// directory of the owner's units, $IMAGE the image, and $SOCKET podman's socket.
	script string
	// underway is a command that the cut interrupts. It is started last.
	underway string
}

// container is a Quadlet file of the test image.
func container(name, lines string) string {
	return "[Container]\nImage=" + machine.Image + "\nContainerName=" + name + "\n" + lines
}

// pod is a manifest of a pod with one container.
func pod(name string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name + "\nspec:\n  containers:\n  - name: app\n" +
		"    image: " + machine.Image + "\n    imagePullPolicy: Never\n"
}

// composeFile has a container that waits for the other one.
const composeFile = `services:
  app:
    image: ` + machine.Image + `
    pull_policy: never
    depends_on: [db]
  db:
    image: ` + machine.Image + `
    pull_policy: never
    restart: always
`

const run = "podman run --detach --name "

var kinds = []kind{
	{row: "`podman run`", up: true, names: "plain", script: run + "plain $IMAGE"},
	{row: "`podman run --restart=always`", up: true, names: "always", script: run + "always --restart=always $IMAGE"},
	{row: "`podman run --restart=unless-stopped`", up: true, names: "unless",
		script: run + "unless --restart=unless-stopped $IMAGE"},
	{row: "`podman run --restart=on-failure`", up: true, names: "onfail",
		script: run + "onfail --restart=on-failure $IMAGE"},
	{row: "`podman run --rm`", names: "once", script: run + "once --rm $IMAGE"},
	{row: "`podman run --requires`", up: true, names: "required requires",
		script: run + "required $IMAGE; " + run + "requires --requires required $IMAGE"},
	{row: "`podman run --network container:`", up: true, names: "netowner netguest",
		script: run + "netowner $IMAGE; " + run + "netguest --network container:netowner $IMAGE"},
	{row: "`podman run --network` with a network of yours", up: true, names: "bridged",
		script: "podman network create own; " + run + "bridged --network own $IMAGE"},
	{row: "`podman run --health-cmd`", up: true, names: "healthy",
		script: run + `healthy --health-cmd '["/testapp","-check-age","1ms"]' --health-interval=5s $IMAGE`},
	{row: "`podman run --secret`", up: true, names: "secretive",
		script: "printf hush | podman secret create word -; " + run + "secretive --secret word $IMAGE"},
	{row: "`podman pod create`", up: true, names: "inpod1 inpod2",
		script: "podman pod create --name pod; " + run + "inpod1 --pod pod $IMAGE; " + run + "inpod2 --pod pod $IMAGE"},
	{row: "`podman kube play`", up: true, names: "played-app",
		script: "podman kube play played.yaml", files: map[string]string{"~/played.yaml": pod("played")}},
	{row: "a `.container` file", up: true, names: "quadlet",
		files: map[string]string{"quadlet.container": container("quadlet", "")}, script: "$CTL start quadlet"},
	{row: "a `.container` file without `ContainerName=`", up: true, names: "systemd-unnamed",
		files:  map[string]string{"unnamed.container": "[Container]\nImage=" + machine.Image + "\n"},
		script: "$CTL start unnamed"},
	{row: "a `.container` file with `[Install]`", up: true, names: "installed",
		files:  map[string]string{"installed.container": container("installed", "[Install]\nWantedBy=default.target\n")},
		script: "$CTL start installed"},
	{row: "a `.container` file with `ServiceName=`", up: true, names: "renamed",
		files:  map[string]string{"renamed.container": container("renamed", "ServiceName=another\n")},
		script: "$CTL start another"},
	{row: "a template, `app@.container`", up: true, names: "tmpl-one tmpl-two",
		files:  map[string]string{"tmpl@.container": container("tmpl-%i", "")},
		script: "$CTL start tmpl@one tmpl@two"},
	{row: "a `.pod` file", up: true, names: "member1 member2",
		files: map[string]string{"group.pod": "[Pod]\n", "member1.container": container("member1", "Pod=group.pod\n"),
			"member2.container": container("member2", "Pod=group.pod\n")},
		script: "$CTL start group-pod"},
	{row: "a `.kube` file", up: true, names: "manifest-app",
		files: map[string]string{"manifest.yaml": pod("manifest"),
			"manifest.kube": "[Kube]\nYaml=manifest.yaml\n"},
		script: "$CTL start manifest"},
	{row: "`podman generate systemd`", up: true, names: "gen", script: "podman create --name gen $IMAGE; " +
		"podman generate systemd --name gen >$UNITS/container-gen.service; $CTL daemon-reload; $CTL start container-gen"},
	{row: "`podman generate systemd --new`", up: true, names: "gennew", script: "podman create --name gennew $IMAGE; " +
		"podman generate systemd --new --name gennew >$UNITS/container-gennew.service; podman rm gennew; " +
		"$CTL daemon-reload; $CTL start container-gennew"},
	{row: "a service of yours that runs a script, which sets `PODMAN_SYSTEMD_UNIT`", up: true, names: "labelled",
		script: script("labelled", "Environment=PODMAN_SYSTEMD_UNIT=%n\n", "") + "$CTL start labelled"},
	// podman 5.4 may crash in the first command of a boot, if that stops what is left of pods (a nil pointer in its
	// pkg/parallel). docs/kinds.md says what helps.
	{row: "a service of yours that runs a script, and is enabled", up: true, names: "enabled",
		script: script("enabled", "Restart=on-failure\n", "[Install]\nWantedBy=default.target\n") +
			"$CTL enable --now enabled"},
	{row: "`podman-compose`", up: true, names: "pc_app_1 pc_db_1",
		files:  map[string]string{"~/pc/compose.yaml": composeFile},
		script: "cd pc; podman-compose up --detach"},
	{row: "`docker compose` with podman's socket", up: true, names: "dc-app-1 dc-db-1",
		files:  map[string]string{"~/dc/compose.yaml": composeFile},
		script: "cd dc; DOCKER_HOST=unix://$SOCKET docker-compose up --detach"},
	{row: "paused", up: true, names: "frozen", script: run + "frozen $IMAGE; podman pause frozen"},
	{row: "created and never started", names: "created", script: "podman create --name created $IMAGE"},
	{row: "stopped with `podman stop`", names: "stopped", script: run + "stopped $IMAGE; podman stop stopped"},
	{row: "killed with `podman kill`", names: "killed", script: run + "killed $IMAGE; podman kill killed"},
	{row: "its unit was stopped with `systemctl stop`", names: "unitstopped",
		files:  map[string]string{"unitstopped.container": container("unitstopped", "")},
		script: "$CTL start unitstopped; $CTL stop unitstopped"},
	{row: "ended by itself with exit code 0", names: "well", script: run + "well $IMAGE -check-age 1ns; podman wait well"},
	{row: "ended by itself with another exit code", up: true, names: "badly",
		script: ends("badly", "QUIT")}, // Go's runtime makes exit code 2 of it
	{row: "killed by a signal that podman did not send", up: true, names: "murdered",
		script: ends("murdered", "KILL")},
	{row: "its image was being imported", names: "late", underway: `(printf '\0%.0s' $(seq 4096); sleep 100) | ` +
		"podman import - localhost/late:1"},
	{row: "`podman auto-update` was restarting it", up: true, names: "updated",
		files: map[string]string{"updated.container": "[Container]\nImage=localhost/updated:1\nContainerName=updated\n" +
			"AutoUpdate=local\nExec=-ignore-term\n"},
		script: "podman tag $IMAGE localhost/updated:1; $CTL start updated; " +
			"podman commit --change 'LABEL new=1' updated localhost/updated:1",
		underway: "podman auto-update"},
}

// ends runs a container that is in the snapshot when it ends by a signal.
func ends(name, signal string) string {
	return fmt.Sprintf("podman run --detach --name %[1]s $IMAGE; archy-recovery $INSTANCE snapshot; "+
		"kill -%[2]s $(podman inspect --format '{{.State.Pid}}' %[1]s); podman wait %[1]s", name, signal)
}

// script makes a program that runs a container, and a service that runs the program.
func script(name, service, install string) string {
	return fmt.Sprintf("mkdir -p $HOME/bin $UNITS; printf '#!/bin/sh\\nexec podman run --rm --replace --name %[1]s "+
		"%[2]s\\n' >$HOME/bin/%[1]s; chmod +x $HOME/bin/%[1]s; "+
		"printf '[Service]\\nExecStart=%%%%h/bin/%[1]s\\n%[3]s' >$UNITS/%[1]s.service; $CTL daemon-reload; ",
		name, machine.Image, strings.NewReplacer("%", "%%", "\n", `\n`).Replace(service+install))
}

// An owner is an instance with the containers of one user.
type owner struct {
	*node
	kinds []kind
}

// everyOwner enables an instance for root and for two users, before there are containers.
func everyOwner(t *testing.T) (owners []*owner) {
	t.Helper()
	deb := artifact.Package(t)
	m := machine.Start(t, machine.WithSpec(machine.Spec{Packages: []string{"docker-compose", "podman-compose"}}))
	m.Install(deb)
	// The second user's store is on the disk of root's: the root directory is an overlay,
	// on which podman could only copy each image as a whole.
	m.MustRun("sh", "-ec", fmt.Sprintf("useradd --create-home --uid %[1]d bob; touch /var/lib/systemd/linger/bob; "+
		"install -d -o bob /var/lib/containers/bob ~bob/.config ~bob/.config/containers; "+
		"printf '[storage]\\ndriver=\"overlay\"\\nrootless_storage_path=\"/var/lib/containers/bob\"\\n' "+
		">~bob/.config/containers/storage.conf; systemctl start user@%[1]d", bob))
	for _, uid := range []int{0, machine.User, bob} {
		n := &node{m, t, uid, m.As(uid)}
		n.enable()
		o := &owner{n, kinds}
		if uid == bob {
			o.kinds = slices.DeleteFunc(slices.Clone(kinds), func(k kind) bool {
				return k.names != "plain" && k.names != "quadlet"
			})
		}
		owners = append(owners, o)
	}
	m.MustRun("podman", "save", "--quiet", "--output", "/var/tmp/image.tar", machine.Image)
	owners[2].user.MustRun("podman", "load", "--quiet", "--input", "/var/tmp/image.tar")
	return owners
}

// bob is the second user with containers.
const bob = 1001

// home is the owner's home directory.
func (o *owner) home() string {
	return map[int]string{0: "/root", machine.User: "/home/archy", bob: "/home/bob"}[o.uid]
}

// shell returns the command that runs a script of the table.
func (o *owner) shell(text string) []string {
	env := []string{"env", "IMAGE=" + machine.Image, "CTL=systemctl --user",
		"UNITS=" + o.home() + "/.config/systemd/user", fmt.Sprintf("SOCKET=/run/user/%d/podman/podman.sock", o.uid),
		fmt.Sprintf("INSTANCE=--uid %d", o.uid)}
	if o.uid == 0 {
		env = append(env, "CTL=systemctl", "UNITS=/etc/systemd/system", "SOCKET=/run/podman/podman.sock", "INSTANCE=--system")
	}
	return append(env, "sh", "-ec", `mkdir -p "$UNITS"; cd; `+text)
}

// make makes the owner's containers, of each kind.
func (o *owner) make() error {
	quadlets := o.home() + "/.config/containers/systemd/"
	if o.uid == 0 {
		quadlets = "/etc/containers/systemd/"
	}
	for _, k := range o.kinds {
		for file, text := range k.files {
			path := quadlets + file
			if at, is := strings.CutPrefix(file, "~/"); is {
				path = o.home() + "/" + at
			}
			o.WriteFile(path, text, 0o644, o.uid)
		}
	}
	if _, err := o.user.Run(o.shell("$CTL daemon-reload")...); err != nil {
		return err
	}
	for _, k := range o.kinds {
		began := time.Now()
		if _, err := o.user.Run(o.shell(k.script)...); err != nil {
			return fmt.Errorf("%s: %w", k.row, err)
		}
		o.t.Logf("uid %d: %s: %v", o.uid, k.row, time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// up are the names of the containers that are started after a crash.
func (o *owner) up() (names []string) {
	for _, k := range o.kinds {
		if k.up {
			names = append(names, strings.Fields(k.names)...)
		}
	}
	slices.Sort(names)
	return names
}

// waitSaved waits until the snapshot holds what runs at the cut, and what failed.
func (o *owner) waitSaved() {
	o.t.Helper()
	want := append(o.up(), "once")
	if len(o.kinds) < len(kinds) {
		want = o.up()
	}
	slices.Sort(want)
	var got []string
	for deadline := time.Now().Add(20 * time.Second); !slices.Equal(got, want); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			o.t.Fatalf("uid %d: the snapshot holds\n%q, want\n%q", o.uid, got, want)
		}
		var s recover.Snapshot
		text, err := o.ReadFile(o.dataFile("running-containers.json"))
		if err != nil || json.Unmarshal([]byte(text), &s) != nil {
			continue
		}
		got = nil
		for _, c := range s.Containers {
			if !strings.HasSuffix(c.Name, "-service") { // podman's own for a .kube unit; the name is a hash
				got = append(got, c.Name)
			}
		}
		slices.Sort(got)
	}
}

// The table of docs/kinds.md has the kinds of the test, and says the same of them.
func TestKindsTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/kinds.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, cells := range regexp.MustCompile(`(?m)^\| ([^|]+) \| (starts|stays down|is gone)\b`).FindAllStringSubmatch(
		string(text), -1) {
		documented[cells[1]] = cells[2]
	}
	tested := map[string]string{}
	for _, k := range kinds {
		tested[k.row] = map[bool]string{true: "starts", false: "stays down"}[k.up]
		if k.names == "once" {
			tested[k.row] = "is gone"
		}
	}
	if diff := cmp.Diff(tested, documented); diff != "" {
		t.Errorf("docs/kinds.md differs from the test (-test +docs):\n%s", diff)
	}
}

// Everything that podman runs, for root and for two users at once, on one machine with
// the defaults of the package: after a cut, what docs/kinds.md says of each kind is so.
func TestEveryKind(t *testing.T) {
	t.Parallel()
	owners := everyOwner(t)
	var making sync.WaitGroup
	for _, o := range owners {
		making.Go(func() {
			if err := o.make(); err != nil {
				t.Errorf("uid %d: %v", o.uid, err)
			}
		})
	}
	making.Wait()
	if t.Failed() {
		t.FailNow()
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, o := range owners {
		o.waitSaved()
	}
	for _, o := range owners {
		for _, k := range o.kinds {
			if k.underway != "" {
				if err := o.user.Command(ctx, o.shell(k.underway)...).Start(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, o := range owners[:2] {
		o.WaitFor(20*time.Second, "the restart by podman auto-update", func() bool {
			return o.user.Show("updated", "ActiveState")["ActiveState"] == "deactivating"
		})
	}
	m := owners[0]
	m.PullPlug()
	m.Boot()
	for _, o := range owners {
		o.check()
	}
}

// check checks what has become of the owner's containers.
func (o *owner) check() {
	o.t.Helper()
	st := o.waitRecovered()
	// systemd starts the script of an enabled service by itself, maybe after READY.
	o.WaitFor(time.Minute, "the end of the start of enabled", func() bool {
		now, err := o.status()
		if err != nil {
			return false
		}
		st = now
		missing := slices.ContainsFunc(st.NotRecovered(), func(row recover.Row) bool { return row.Name == "enabled" })
		return !missing || o.user.Show("enabled", "ActiveState")["ActiveState"] == "failed"
	})
	inspected := func(name, format, want string) {
		o.t.Helper()
		if got, err := o.user.Run("podman", "inspect", "--format", format, name); strings.TrimSpace(got) != want {
			said, _ := o.user.Run("journalctl", "--boot", "--no-pager", "--lines=20", "_SYSTEMD_USER_UNIT="+name+".service",
				"+", "_SYSTEMD_UNIT="+name+".service", "+", "USER_UNIT="+name+".service", "+", "UNIT="+name+".service")
			o.t.Errorf("uid %d: %s of %s is %q, want %q; %v\n%s", o.uid, format, name, got, want, err, said)
		}
	}
	for _, k := range o.kinds {
		for _, name := range strings.Fields(k.names) {
			switch {
			case k.up:
				inspected(name, "{{.State.Status}}", "running")
			case slices.Contains(o.running(), name):
				o.t.Errorf("uid %d: %s: %s runs; its state is %q", o.uid, k.row, name, states(st)[name])
			}
		}
	}
	for _, row := range st.NotRecovered() {
		if row.Name == "once" && row.State == recover.RowMissing {
			continue
		}
		o.t.Errorf("uid %d: %s is %s: %s", o.uid, row.Name, row.State, row.Error)
	}
	if len(o.kinds) < len(kinds) {
		return
	}
	inspected("updated", `{{index .Config.Labels "new"}}`, "1") // it runs the new image
	if word := o.MustRun("cat", "/proc/"+o.pid("secretive")+"/root/run/secrets/word"); word != "hush" {
		o.t.Errorf("uid %d: the secret is %q", o.uid, word)
	}
	links := o.MustRun("readlink", "/proc/"+o.pid("netowner")+"/ns/net", "/proc/"+o.pid("netguest")+"/ns/net")
	if link := strings.Fields(links); len(link) != 2 || link[0] != link[1] {
		o.t.Errorf("uid %d: netguest does not have the network of netowner: %q", o.uid, links)
	}
	if images := o.user.MustRun("podman", "images", "--noheading"); strings.Contains(images, "localhost/late") {
		o.t.Errorf("uid %d: the image whose import was cut is there:\n%s", o.uid, images)
	}
}
