package state

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A disk is a directory as the kernel sees it, and as a crash can leave it.
type disk struct {
	durable map[string]int // name -> file, at the last fsync of the directory
	pending []change       // since then
	names   map[string]int // name -> file, as the kernel sees it
	files   []file
}

type file struct {
	text   string // all of its content
	synced bool
}

// A change of the directory gives name to a file, or to none for -1.
type change struct {
	name, oldName string // oldName is the name that a rename removes
	file          int
	exchanged     *int // the file that gets oldName where a rename exchanges two
}

// sync makes the changes of one directory durable, "" for the data directory itself.
func (d *disk) sync(dir string) {
	d.pending = slices.DeleteFunc(d.pending, func(c change) bool {
		synced := c.dir() == dir
		if synced {
			c.apply(d.durable)
		}
		return synced
	})
}

// dir returns the directory that a change is in.
func (c change) dir() string {
	if dir := path.Dir(c.name); dir != "." {
		return dir
	}
	return ""
}

// apply applies a change to the names of a directory.
func (c change) apply(names map[string]int) {
	if delete(names, c.oldName); c.exchanged != nil {
		names[c.oldName] = *c.exchanged
	}
	if names[c.name] = c.file; c.file < 0 {
		delete(names, c.name)
	}
}

var (
	createCall = regexp.MustCompile(`openat\(.*"DIR/([^"]+)", [A-Z_|]*O_CREAT`)
	syncCall   = regexp.MustCompile(`f(?:data)?sync\(\d+<DIR(?:/([^>]+))?>`)
	renameCall = regexp.MustCompile(`rename.*"DIR/([^"]+)".*"DIR/([^"]+)"`)
	removeCall = regexp.MustCompile(`unlink.*"DIR/([^"]+)"`)
)

// replayTrace applies the system calls of a trace to a disk, and calls each after every
// one that changes or syncs it.
func replayTrace(t *testing.T, before, after map[string]string, trace string, each func(*disk)) *disk {
	t.Helper()
	d := &disk{durable: map[string]int{}, names: map[string]int{}}
	for name, text := range before {
		d.files = append(d.files, file{text, true})
		d.names[name], d.durable[name] = len(d.files)-1, len(d.files)-1
	}
	lines := strings.Split(trace, "\n")
	for i, line := range lines {
		switch {
		case createCall.MatchString(line):
			name := createCall.FindStringSubmatch(line)[1]
			d.files = append(d.files, file{text: finalText(lines[i:], name, after)})
			d.names[name] = len(d.files) - 1
			d.pending = append(d.pending, change{name: name, file: d.names[name]})
		case syncCall.MatchString(line):
			name := syncCall.FindStringSubmatch(line)[1]
			if f, ok := d.names[name]; ok {
				d.files[f].synced = true
			} else {
				d.sync(name)
			}
		case renameCall.MatchString(line):
			m := renameCall.FindStringSubmatch(line)
			c := change{name: m[2], oldName: m[1], file: d.names[m[1]]}
			if strings.Contains(line, "RENAME_EXCHANGE") {
				old := d.names[m[2]]
				c.exchanged = &old
			}
			c.apply(d.names)
			d.pending = append(d.pending, c)
		case removeCall.MatchString(line):
			c := change{name: removeCall.FindStringSubmatch(line)[1], file: -1}
			c.apply(d.names)
			d.pending = append(d.pending, c)
		default:
			continue
		}
		each(d)
	}
	return d
}

// finalText returns the final content of a new file: that of the name that the trace gives it.
func finalText(trace []string, name string, after map[string]string) string {
	for _, line := range trace {
		if m := renameCall.FindStringSubmatch(line); m != nil && m[1] == name {
			name = m[2]
		}
	}
	return after[name]
}

// crash calls each with every directory that a crash at this moment can leave.
func (d *disk) crash(each func(map[string]string)) {
	for subset := range 1 << len(d.pending) {
		names := maps.Clone(d.durable)
		for i, c := range d.pending {
			if subset&(1<<i) == 0 {
				continue
			}
			c.apply(names)
		}
		var unsynced []string // names of files
		for name, f := range names {
			if !d.files[f].synced {
				unsynced = append(unsynced, name)
			}
		}
		slices.Sort(unsynced)
		for variant := range pow(3, len(unsynced)) {
			files := map[string]string{}
			for name, f := range names {
				files[name] = d.files[f].text
			}
			for _, name := range unsynced {
				text := files[name]
				files[name] = []string{text, text[:len(text)/2], ""}[variant%3]
				variant /= 3
			}
			each(files)
		}
	}
}

// pow returns base to the power of exponent.
func pow(base, exponent int) int {
	n := 1
	for range exponent {
		n *= base
	}
	return n
}

// crashStates lists each directory that a crash can leave at any moment of a trace.
func crashStates(t *testing.T, before, after map[string]string, trace string) []map[string]string {
	t.Helper()
	seen := map[string]map[string]string{}
	replayTrace(t, before, after, trace, func(d *disk) {
		d.crash(func(files map[string]string) { seen[fingerprint(files)] = files })
	})
	return slices.Collect(maps.Values(seen))
}

// lastStates lists those that a crash can leave after the last system call.
func lastStates(t *testing.T, before, after map[string]string, trace string) []map[string]string {
	t.Helper()
	var states []map[string]string
	replayTrace(t, before, after, trace, func(*disk) {}).crash(func(files map[string]string) {
		states = append(states, files)
	})
	return states
}

// fingerprint returns the same text for the same files.
func fingerprint(files map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b.WriteString(strconv.Quote(name) + strconv.Quote(files[name]))
	}
	return b.String()
}
