package recovery

import (
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// An image that no registry has is kept in an archive after READY. When a crash has damaged it, it
// comes again from there, also if the power fails on the way. A damaged archive changes nothing.
func TestKeepImages(t *testing.T) {
	// Short waits save time, and the soak decides nothing here.
	const conf = "RetryPauseSec=1s\nSoakSec=2s\n"
	onBothInstances(t, conf+"KeepImages=yes\n", func(n *node) {
		const image = "localhost/built:1"
		vars := n.damagedImage("built")
		id, err := n.imageID(image)
		if err != nil {
			n.t.Fatal(err)
		}
		n.user.Reload()
		n.user.Systemctl("start", "built")
		n.enable()
		n.waitSaved("built")
		dir := n.dataFile("images")
		archive := dir + "/" + id + ".tar"
		// It gives way while other machines keep the disk busy.
		n.WaitFor(5*time.Minute, "the archive", func() bool { _, err := n.Run("test", "-e", archive); return err == nil })
		n.wantLog("an image is kept in an archive image=" + id)
		if out := n.MustRun("sh", "-c", "stat -c %a "+dir+" "+archive+"; ls -A "+dir); out != "700\n600\n"+id+".tar\n" {
			n.t.Errorf("the archives are\n%s", out)
		}
		n.t.Log(n.MustRun("ls", "-l", dir))
		const leftovers = "ls -A /var/tmp /tmp | grep -i 'api\\|save\\|docker-tar\\|podman' || true"
		if out := n.MustRun("sh", "-c", leftovers); out != "" {
			n.t.Errorf("podman left %s", out)
		}

		n.MustRun("sh", "-ec", vars+damages["empty"]+"; cp -p "+archive+" /root/whole.tar; touch "+dir+"/."+id+".tar77; "+
			"printf x | dd of="+archive+" bs=1 seek=100000 conv=notrunc status=none")
		n.crash()
		n.waitSoaked()
		if out := n.MustRun("ls", "-A", dir); out != id+".tar\n" {
			n.t.Errorf("after a crash the archives are\n%s", out)
		}
		plan := n.cli("repair")
		n.t.Log(plan)
		for _, want := range []string{"built: its image " + image + " is damaged", "would keep the name " + image,
			"would remove the image " + id[:12], "would load the image " + id[:12] + " from its archive", "would start built"} {
			if !strings.Contains(plan, want) {
				n.t.Errorf("repair does not say %q", want)
			}
		}
		out, err := n.Run(n.command("repair", "--yes")...)
		n.t.Log(out)
		if now, _ := n.imageID(image); err == nil || !strings.Contains(out, "nothing was changed: its archive") || now != id {
			n.t.Errorf("with a damaged archive the image is %s: %v", now, err)
		}
		n.MustRun("cp", "-p", "/root/whole.tar", archive)

		// podman has no room to load it.
		n.MustRun("mount", "-t", "tmpfs", "-o", "size=1m,mode=1777", "tmpfs", "/var/tmp")
		out, err = n.Run(n.command("repair", "--yes")...)
		n.t.Log(out)
		if err == nil || !strings.Contains(out, "failed: load") || !strings.Contains(out, "/var/tmp") {
			n.t.Errorf("without room podman has loaded it: %v", err)
		}
		n.configure(conf + "Repair=image\n")
		n.crash()
		n.WaitFor(3*time.Minute, "built", func() bool { return slices.Contains(n.running(), "built") })
		n.wantLog("a step of a repair is done container=built step=load target=" + id)
		runs := strings.TrimSpace(n.user.MustRun("podman", "inspect", "--format", "{{.Image}}", "built"))
		if now, err := n.imageID(image); err != nil || now != id || runs != id {
			n.t.Errorf("%s is %s, built runs %s, and %s ran", image, now, runs, id)
		}
		if out := n.user.MustRun("podman", "images", "--all", "--filter", "label=io.archy.repair.id", "--quiet"); out != "" {
			n.t.Errorf("what kept the name is left: %s", out)
		}
		n.WaitFor(time.Minute, "the state of built", func() bool {
			st, err := n.status()
			return err == nil && states(st)["built"] == recover.RowUp
		})
		// Without KeepImages= what is kept stays.
		if out := n.MustRun("ls", "-A", dir); out != id+".tar\n" {
			n.t.Errorf("without KeepImages=yes the archives are\n%s", out)
		}
	})
}
