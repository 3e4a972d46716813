package power

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"archy-recovery/internal/recover"
	"archy-recovery/test/artifact"
	"archy-recovery/test/machine"
	"archy-recovery/test/vm"
)

// storageRoot is root's graph root.
const storageRoot = "/var/lib/containers/storage"

// storageAges are the times from the end of an import to the cut that each round aims at. Imports
// beside each other slow each other down, so what counts is the age that was measured.
var storageAges = []time.Duration{40 * time.Second, 20 * time.Second, 10 * time.Second, 5 * time.Second,
	2 * time.Second, 500 * time.Millisecond}

// The columns of the table: the greatest ages, at the cut, of the images and of what was written
// into containers.
var (
	imageColumns = []time.Duration{time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second,
		30 * time.Second, 2 * time.Minute}
	writtenColumns = []time.Duration{20 * time.Second, 5 * time.Minute}
)

// storageTable is the place of the results.
var storageTable = artifact.Table{
	File:  "../../docs/faults.md",
	Begin: "<!-- power-test of the storage writes from here -->\n",
	End:   "<!-- storage: to here -->",
}

// Six containers get new images of 200 files (13 MB), one after the other. Two others are made and
// written to. Then the power fails: with the sync of the storage as it is, and without.
//
// POWER_STORAGE is the number of cuts.
func TestStorage(t *testing.T) {
	cuts := number(t, "POWER_STORAGE", 3)
	for _, fs := range []vm.FileSystem{vm.Ext4, vm.XFS, vm.Btrfs} {
		for _, synced := range []bool{false, true} {
			name := fs.Name + ", not synced"
			if synced {
				name = fs.Name + ", synced"
			}
			t.Run(strings.ReplaceAll(name, ", ", "-"), func(t *testing.T) {
				s := newStorageSeries(t, fs, synced)
				for round := range cuts {
					s.round(round)
					storageTable.Replace(t, name, s.String())
				}
			})
		}
	}
}

// A storageSeries is a series of cuts on one machine, and what became of the images, and of what
// was written into containers, by column.
type storageSeries struct {
	*node
	synced          bool
	images, written []fates
	// damaged counts the damaged images, found those that were found before their start, and
	// seen those that the check finds when it is asked afterwards.
	damaged, found, seen int
	// takes is how long an import takes that has the machine for itself.
	takes time.Duration
}

// fates count what became of images.
type fates struct{ gone, damaged, whole int }

func (f *fates) count(fate string) {
	switch fate {
	case "gone":
		f.gone++
	case "damaged":
		f.damaged++
	default:
		f.whole++
	}
}

// String is the cells of the row in the table.
func (s *storageSeries) String() string {
	var cells []string
	for _, f := range append(slices.Clone(s.images), s.written...) {
		cells = append(cells, fmt.Sprintf("%d, %d, %d", f.gone, f.damaged, f.whole))
	}
	cells = slices.Insert(cells, len(s.images), fmt.Sprintf("%d, %d of %d", s.found, s.seen, s.damaged))
	return strings.Join(cells, " | ") + " |"
}

func newStorageSeries(t *testing.T, fs vm.FileSystem, synced bool) *storageSeries {
	// The soak decides nothing here, and short waits save time. An emulated machine is slow.
	n := start(t, vm.Options{FS: fs, Limit: 10 * time.Minute},
		"SoakSec=1\nRetryPauseSec=1\nRetryAfterReady=no\nFirstAttemptSec=10min\n")
	s := &storageSeries{node: n, synced: synced,
		images: make([]fates, len(imageColumns)), written: make([]fates, len(writtenColumns))}
	if !synced {
		n.MustRun("systemctl", "mask", "archy-recovery-sync@.path", "archy-recovery-sync@.service")
	}
	for i := range storageAges {
		n.WriteFile(fmt.Sprintf("/etc/containers/systemd/app%d.container", i), fmt.Sprintf(
			"[Container]\nImage=localhost/app%[1]d:1\nContainerName=app%[1]d\nEntrypoint=/testapp\nPull=never\n"+
				"[Service]\nTimeoutStartSec=900\n", i), 0o644)
	}
	n.MustRun("sh", "-ec", `for i in 0 1 2 3 4 5; do podman tag "$1" localhost/app$i:1; done
		podman create --name base "$1"; podman cp base:/testapp /var/testapp; podman rm base
		systemctl daemon-reload; systemctl start app0 app1 app2 app3 app4 app5; systemctl enable --now archy-recovery`,
		"sh", machine.Image)
	for i := range storageAges {
		n.waitSaved(fmt.Sprintf("app%d", i))
	}
	s.content("warm")
	began := time.Now()
	n.MustRun("podman", "import", "--quiet", "/run/warm.tar", "localhost/warm:1")
	s.takes = time.Since(began)
	t.Logf("an import takes %s", s.takes.Round(100*time.Millisecond))
	return s
}

// content puts 200 files and the test application into an archive in memory, and returns the sums
// of the files. No two archives have the same content: podman would take a layer that it has.
func (s *storageSeries) content(name string) (sums string) {
	s.t.Helper()
	return s.MustRun("sh", "-ec", `mkdir /run/"$1"; cd /run/"$1"
		head -c 13107200 /dev/urandom | split -b 65536 -d -a 3 - file
		cp /var/testapp .; tar -c -f ../"$1".tar *; sha256sum file* testapp`, "sh", name)
}

// An arrival is an image that came, or a container that was written to, and when.
type arrival struct {
	name, sums string
	// id of the image.
	id string
	at time.Time
}

// round has images come and containers be written to, cuts the power, and counts what became of
// them.
func (s *storageSeries) round(round int) {
	s.t.Helper()
	images := make([]arrival, len(storageAges))
	for i := range images {
		images[i].sums = s.content(fmt.Sprintf("app%d", i))
	}
	written := make([]arrival, len(writtenColumns))
	for i := range written {
		written[i] = arrival{name: fmt.Sprintf("written%d", i), sums: images[i].sums}
		_, _ = s.Run("podman", "rm", "--force", "--time=0", written[i].name) // of the last round
	}
	s.MustRun("sync")
	s.write(&written[1])
	cut := time.Now().Add(storageAges[0] + s.takes + time.Second)
	var group sync.WaitGroup
	for i, age := range storageAges {
		a := &images[i]
		a.name = fmt.Sprintf("app%d", i)
		group.Go(func() {
			time.Sleep(time.Until(cut.Add(-age - s.takes)))
			id, err := s.Run("podman", "import", "--quiet", "/run/"+a.name+".tar", "localhost/"+a.name+":1")
			a.id, a.at = strings.TrimPrefix(strings.TrimSpace(id), "sha256:"), time.Now()
			if err != nil {
				s.t.Error(err)
			}
		})
		if age == 20*time.Second {
			group.Go(func() { s.write(&written[0]) })
		}
	}
	group.Wait()
	last := slices.MaxFunc(images, func(a, b arrival) int { return a.at.Compare(b.at) })
	time.Sleep(time.Until(last.at.Add(storageAges[len(storageAges)-1])))
	at := time.Now()
	s.PullPlug()
	s.Boot()
	s.examine(round, at, images, written)
}

// check looks for damage once more, when recovery is over.
func (s *storageSeries) check() (c recover.StorageCheck) {
	s.t.Helper()
	text := s.MustRun("archy-recovery", "storage", "check", "--json", storageRoot)
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("of %d layers %d were examined, complete: %v, unknown: %q; the daemon said\n%s", c.Layers, c.Examined,
		c.Complete, c.Unknown, s.MustRun("sh", "-c", "journalctl -b -o short-monotonic | grep -E 'storage is damaged|"+
			"Look for Damage|not known whether' || true"))
	return c
}

// write makes a container and writes 200 files into it.
func (s *storageSeries) write(a *arrival) {
	from := "/run/app" + strings.TrimPrefix(a.name, "written") + "/."
	_, err := s.Run("sh", "-ec", `podman run --detach --name "$1" "$2"; podman cp "$3" "$1":/`, "sh",
		a.name, machine.Image, from)
	if err != nil {
		s.t.Error(err)
	}
	a.at = time.Now()
}

// examine counts what a cut at this moment left of what had come.
func (s *storageSeries) examine(round int, at time.Time, images, written []arrival) {
	s.t.Helper()
	st := s.waitRecovered()
	check := s.check()
	x := s.index()
	for _, a := range images {
		// A cut between its coming and its name leaves an image without one, and the name to the last one.
		fate := s.fate(a, x.layerOf(func(i stored) bool {
			return i.ID == a.id && slices.Contains(i.Names, "localhost/"+a.name+":1")
		}))
		s.images[column(imageColumns, at.Sub(a.at))].count(fate)
		row := recover.Row{}
		if i := slices.IndexFunc(st.Containers, func(r recover.Row) bool { return r.Name == a.name }); i >= 0 {
			row = st.Containers[i]
		}
		s.t.Logf("round %d: image %s, %.1f s old: %s. Its container is %q after %d attempts: %s", round, a.name,
			at.Sub(a.at).Seconds(), fate, row.State, len(row.Attempts), row.Error)
		known := row.State == recover.RowDamaged && len(row.Attempts) == 0
		switch {
		case fate == "damaged":
			s.damaged++
			if known {
				s.found++
			}
			if check.Image("localhost/"+a.name+":1") != nil {
				s.seen++
			}
		case row.State == recover.RowDamaged && fate == "whole": // of a name without its image, an older one may be damaged
			s.t.Errorf("%s is %s, and its image is %s", a.name, row.State, fate)
		}
		if s.synced && at.Sub(a.at) >= syncedWithin && fate != "whole" {
			s.t.Errorf("an image that came %s before the cut is %s, and its storage is synced", at.Sub(a.at), fate)
		}
	}
	for _, a := range written {
		fate := s.fate(a, x.layerOf(func(c stored) bool { return slices.Contains(c.Names, a.name) }))
		s.written[column(writtenColumns, at.Sub(a.at))].count(fate)
		s.t.Logf("round %d: container %s, written to %.1f s before: %s", round, a.name, at.Sub(a.at).Seconds(), fate)
	}
}

// syncedWithin is the age from which an image must be whole where the storage is synced. A real
// machine needs a second. An emulated one is slower by an order of magnitude.
const syncedWithin = 8 * time.Second

// column is the first column for an age.
func column(most []time.Duration, age time.Duration) int {
	i := slices.IndexFunc(most, func(m time.Duration) bool { return age <= m })
	if i < 0 {
		return len(most) - 1
	}
	return i
}

// What podman's lists say of an image or of a container.
type stored struct {
	ID, Layer string
	Names     []string
}

type storedIndex []stored

// layerOf is the layer of the first for which is is true; listed is false if there is none.
func (x storedIndex) layerOf(is func(stored) bool) (layer string) {
	if i := slices.IndexFunc(x, is); i >= 0 {
		return x[i].Layer
	}
	return ""
}

// index reads podman's lists of images and containers.
func (s *storageSeries) index() (x storedIndex) {
	s.t.Helper()
	for _, list := range []string{"overlay-images/images.json", "overlay-containers/containers.json"} {
		var some storedIndex
		text := s.MustRun("cat", path.Join(storageRoot, list))
		if err := json.Unmarshal([]byte(text), &some); err != nil {
			s.t.Errorf("%s: %v", list, err)
		}
		x = append(x, some...)
	}
	return x
}

// fate says what became of the files in a layer; empty: nothing lists it.
func (s *storageSeries) fate(a arrival, layer string) string {
	s.t.Helper()
	if layer == "" {
		return "gone"
	}
	files := path.Join(storageRoot, "overlay", layer, "diff")
	sums, _ := s.Run("sh", "-c", `cd "$1" && sha256sum file* testapp`, "sh", files)
	if sums != a.sums {
		return "damaged"
	}
	return "whole"
}
