package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"archy-recovery/test/machine"
)

// writeVerb makes this program write in a container, until a file tells it to stop.
const (
	writeVerb = "write-in-the-container"
	writeData = "/data"
	writeStop = "stop"
)

// write writes 4 KiB to a file and syncs them, as a database does, again and again. At the end it
// prints how long each took, in µs.
func write(dir string) error {
	f, err := os.OpenFile(dir+"/records", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	record := make([]byte, 4096)
	for {
		began := time.Now()
		if _, err := f.Write(record); err != nil {
			return err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return err
		}
		fmt.Println(time.Since(began).Microseconds())
		if _, err := os.Stat(dir + "/" + writeStop); err == nil {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// syncRow measures what the sync of podman's storage costs: an image of 200 MB that comes, and the
// writes of a container beside it.
func syncRow(b *bench, r *Result) {
	m := recovered(b, r)
	installSelf(b, m)
	const with, without = "with the sync", "without"
	took, p99s, worst := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	all := map[string][]float64{}
	for round := range b.rounds {
		order := []string{with, without}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, how := range order {
			verb := map[string]string{with: "unmask", without: "mask"}[how]
			m.MustRun("sh", "-c", "systemctl stop 'archy-recovery-sync@*'; systemctl "+verb+
				" archy-recovery-sync@.path archy-recovery-sync@.service; systemctl reset-failed; systemctl restart "+unit)
			if how == with {
				m.WaitFor(time.Minute, "the watch for images", func() bool {
					_, err := m.Run("systemctl", "is-active", "archy-recovery-sync@var-lib-containers-storage.path")
					return err == nil
				})
			}
			image, writes := imageBesideWrites(b, m)
			took[how] = append(took[how], image.Seconds())
			all[how] = append(all[how], writes...)
			p99s[how] = append(p99s[how], p99(writes))
			worst[how] = append(worst[how], writes[len(writes)-1])
		}
	}
	r.Title = "An image of 200 MB comes, and its storage is synced"
	r.claimAtMost(r.Title+": the time of its import, with the sync against without", "≤ 1.25", "",
		ratios(took[with], took[without]), 1.25)
	for _, how := range []string{with, without} {
		r.add("podman import, "+how, "s", took[how])
		r.add("a container's synced write of 4 KiB beside it, p99, "+how, "ms", p99s[how])
		r.add("the longest of these, "+how, "ms", worst[how])
	}
	r.note(fmt.Sprintf("The container writes from 1 s before the image comes to 5 s after: %d writes with the sync, %d "+
		"without. It writes to a volume on the same file system.", len(all[with]), len(all[without])))
}

// imageBesideWrites has an image come while a container writes. It returns how long the image
// took, and each write, in ms and sorted.
func imageBesideWrites(b *bench, m *machine.Machine) (took time.Duration, writes []float64) {
	const data, archive = "/var/lib/containers/bench-data", "/var/lib/containers/bench-image.tar"
	m.MustRun("sh", "-ec", `rm -rf "$1"; mkdir "$1"; head -c 209715200 /dev/urandom >"$1"/content
		tar -C "$1" -cf "$2" content; rm "$1"/content; sync`, "sh", data, archive)
	var out string
	var err error
	var writer sync.WaitGroup
	writer.Go(func() {
		// The program needs the libraries of the machine.
		out, err = m.Run("podman", "run", "--rm", "--network=none", "--entrypoint=/program",
			"--volume="+askPath+":/program:ro", "--volume=/usr:/usr:ro", "--volume=/usr/lib:/lib:ro",
			"--volume=/usr/lib64:/lib64:ro", "--volume="+data+":"+writeData, machine.Image, writeVerb)
	})
	m.WaitFor(time.Minute, "the first writes", func() bool {
		_, err := m.Run("test", "-s", data+"/records")
		return err == nil
	})
	time.Sleep(time.Second)
	began := time.Now()
	m.MustRun("podman", "import", "--quiet", archive, "localhost/bench:1")
	took = time.Since(began)
	time.Sleep(5 * time.Second)
	m.MustRun("touch", data+"/"+writeStop)
	writer.Wait()
	if err != nil {
		b.t.Fatalf("%v", err)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
		us, err := strconv.ParseFloat(line, 64)
		if err != nil {
			b.t.Fatalf("%v", err)
		}
		writes = append(writes, us/1000)
	}
	slices.Sort(writes)
	m.MustRun("podman", "rmi", "localhost/bench:1")
	return took, writes
}
