package recovery

import (
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/machine"
)

// After a crash a container that only podman's storage knows holds the name of one that its unit
// makes anew. repair shows that, removes it when asked, and the unit's own starts. A container
// that holds data is left, and so is an image.
func TestRepair(t *testing.T) {
	// Short waits save time, and the soak decides nothing here.
	onBothInstances(t, "RetryPauseSec=1s\nSoakSec=2s\n", func(n *node) {
		broken := n.damagedImage("broken")
		n.plain("own", 1)
		n.unitOfNew("left")
		n.user.Systemctl("start", "nameleft")
		database := n.graphRoot() + "/db.sql"
		n.user.MustRun("cp", database, database+".before")
		n.unitOfNew("stored")
		n.user.Systemctl("start", "namestored", "broken")
		n.enable()
		n.waitSaved("stored", "own", "broken", "left")
		damage := broken + damages["lost"] + "; mv " + database + ".before " + database
		for _, name := range []string{"own", "left"} {
			layer := strings.TrimSuffix(strings.TrimSpace(
				n.user.MustRun("podman", "inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", name)), "/diff")
			damage += "; truncate -s 0 " + layer + "/lower"
		}
		n.MustRun("sh", "-ec", damage)
		n.crash()
		n.waitSoaked()
		if row := n.waitExplained([]string{"stored"})["stored"]; row.LastAttempt().Why.Reason != "name-in-use-storage" {
			n.t.Fatalf("stored is %s: %s", row.State, row.Error)
		}
		// podman removes what is left of one with --rm by itself, if it is asked before the unit starts.
		st, err := n.status()
		leftDown := err != nil || states(st)["left"] != recover.RowUp
		// Without --yes nothing changes.
		plan := n.cli("repair")
		if strings.Contains(plan, "would start left") != leftDown {
			n.t.Errorf("left is down: %v, and repair says\n%s", leftDown, plan)
		}
		n.t.Log(plan)
		for _, want := range []string{"stored: its name is in use", "would remove the container", "would start stored",
			"own: its own layer is damaged", "left to you: no unit makes it anew",
			"broken: its image localhost/broken:1 is damaged",
			"left to you: the image has to come anew", "repair --yes"} {
			if !strings.Contains(plan, want) {
				n.t.Errorf("repair does not say %q:\n%s", want, plan)
			}
		}
		if again := n.cli("repair"); again != plan {
			n.t.Errorf("repair changed something:\n%s", again)
		}
		out, err := n.Run(n.command("repair", "--yes")...)
		n.t.Log(out)
		if err == nil {
			n.t.Error("that own is not mended is no success")
		}
		n.WaitFor(30*time.Second, "stored and left", func() bool {
			return slices.Contains(n.running(), "stored") && slices.Contains(n.running(), "left")
		})
		for kind, name := range map[string]string{"container": "own", "image": "localhost/broken:1"} {
			if _, err := n.user.Run("podman", kind, "exists", name); err != nil {
				n.t.Errorf("%s is gone: %v", name, err)
			}
		}
		n.wantLog("a step of a repair is done container=stored step=remove-container")
		n.waitSoaked()
		st, err = n.status()
		if got := states(st); err != nil || got["stored"] != recover.RowUp {
			n.t.Errorf("the states are %v, %v", got, err)
		}
		if out, err := n.Run(n.command("repair", "stored")...); err == nil {
			n.t.Errorf("stored is mended, and repair says %s", out)
		}
		// The commands that it prints for the image are enough.
		_, commands, _ := strings.Cut(plan, "has to come anew. ")
		commands, _, _ = strings.Cut(commands, "; then build")
		n.t.Log(n.user.MustRun("sh", "-ec", commands))
		n.damagedImage("broken") // it makes the image, and damages nothing
		n.cli("retry", "broken")
		n.WaitFor(30*time.Second, "broken", func() bool { return slices.Contains(n.running(), "broken") })
	})
}

// registry has the machine run Debian's registry, as on a host with a registry of its own.
func (n *node) registry() {
	n.t.Helper()
	n.WriteFile("/etc/docker/registry/config.yml", "version: 0.1\nstorage: {filesystem: {rootdirectory: "+registryDir+
		"}, cache: {blobdescriptor: inmemory}}\nhttp: {addr: '127.0.0.1:5000'}\n", 0o644, 0)
	n.WriteFile("/etc/containers/registries.conf.d/50-local.conf",
		"[[registry]]\nlocation = \"localhost:5000\"\ninsecure = true\n", 0o644, 0)
	n.MustRun("systemctl", "enable", "docker-registry")
	n.MustRun("systemctl", "restart", "docker-registry")
	n.MustRun("curl", "--silent", "--retry", "20", "--retry-connrefused", "--retry-delay", "1",
		"http://localhost:5000/v2/")
}

const registryDir = "/var/lib/docker-registry"

// imageID is the ID of an image, or an error.
func (n *node) imageID(image string) (string, error) {
	id, err := n.user.Run("podman", "image", "inspect", "--format", "{{.Id}}", image)
	return strings.TrimSpace(id), err
}

// A damaged image comes again by the digest that ran, although its tag means another version by
// now. If the registry fails on the way, no start gets that version, and after a power cut the
// daemon goes on by itself.
func TestRepairImage(t *testing.T) {
	// Short waits save time, and the soak decides nothing here.
	const conf = "RetryPauseSec=1s\nSoakSec=2s\n"
	onBothInstances(t, conf, func(n *node) {
		n.registry()
		const image = "localhost:5000/web:1"
		n.damagedImage("web")
		n.user.MustRun("podman", "push", "--quiet", "localhost/web:1", image)
		n.user.MustRun("podman", "rmi", "localhost/web:1")
		n.user.MustRun("podman", "pull", "--quiet", image)
		n.Quadlet(n.uid, "web.container", "[Container]\nImage="+image+"\nContainerName=web\n")
		n.damagedImage("other")
		n.user.MustRun("podman", "push", "--quiet", "localhost/other:1", image)
		id, err := n.imageID(image)
		if err != nil {
			n.t.Fatal(err)
		}
		n.user.Reload()
		n.user.Systemctl("start", "web")
		n.enable()
		n.waitSaved("web")
		layer := strings.TrimSpace(n.user.MustRun("podman", "image", "inspect", "--format",
			"{{.GraphDriver.Data.UpperDir}}", image))
		n.MustRun("sh", "-ec", "layer="+strings.TrimSuffix(layer, "/diff")+"; "+damages["empty"])
		n.crash()
		n.waitSoaked()

		plan := n.cli("repair")
		n.t.Log(plan)
		for _, want := range []string{"web: its image " + image + " is damaged", "would keep the name " + image,
			"would remove the image " + id[:12], "would pull localhost:5000/web@sha256:", "would start web"} {
			if !strings.Contains(plan, want) {
				n.t.Errorf("repair does not say %q", want)
			}
		}
		n.MustRun("systemctl", "stop", "docker-registry")
		out, err := n.Run(n.command("repair", "--yes", "web")...)
		n.t.Log(out)
		if now, _ := n.imageID(image); err == nil || !strings.Contains(out, "nothing was changed") || now != id {
			n.t.Errorf("without its registry the image is %s: %v", now, err)
		}

		// The registry has the manifest, and lacks a layer.
		n.MustRun("sh", "-ec", "find "+registryDir+" -name data -size +100k -exec mv {} {}.away \\;; "+
			"systemctl start docker-registry")
		out, err = n.Run(n.command("repair", "--yes", "web")...)
		n.t.Log(out)
		if err == nil || !strings.Contains(out, "failed: pull") {
			n.t.Errorf("the registry lacks a layer: %v", err)
		}
		n.MustRun("sh", "-ec", "find "+registryDir+" -name data.away | while read f; do mv $f ${f%.away}; done; "+
			"systemctl restart docker-registry")
		// A unit that a retry has just tried may be neither failed nor loaded.
		_, _ = n.user.Run(append(n.systemctl(), "reset-failed", "web")...)
		out, err = n.user.Run(append(n.systemctl(), "start", "web")...)
		if err == nil || slices.Contains(n.running(), "web") {
			n.t.Errorf("another version was started: %v %s", err, out)
		}
		plan = n.cli("repair", "web")
		n.t.Log(plan)
		if !strings.Contains(plan, "was cut short") || !strings.Contains(plan, "would pull") ||
			strings.Contains(plan, "would remove") {
			n.t.Errorf("repair does not go on:\n%s", plan)
		}

		n.configure(conf + "Repair=image\n")
		n.crash()
		n.WaitFor(3*time.Minute, "web", func() bool { return slices.Contains(n.running(), "web") })
		n.wantLog("a step of a repair is done container=web step=pull")
		runs := strings.TrimSpace(n.user.MustRun("podman", "inspect", "--format", "{{.Image}}", "web"))
		if now, err := n.imageID(image); err != nil || now != id || runs != id {
			n.t.Errorf("%s is %s, web runs %s, and %s ran", image, now, runs, id)
		}
		if out := n.user.MustRun("podman", "images", "--all", "--filter", "label=io.archy.repair.id", "--quiet"); out != "" {
			n.t.Errorf("what kept the name is left: %s", out)
		}
		n.WaitFor(time.Minute, "the state of web", func() bool {
			st, err := n.status()
			return err == nil && states(st)["web"] == recover.RowUp
		})
	}, machine.WithSpec(machine.Spec{Packages: []string{"docker-registry"}}))
}
