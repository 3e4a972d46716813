// Package config reads archy-recovery.conf as systemd reads its own
// configuration (systemd.syntax(7), systemd-system.conf(5)).
//
// The main file comes from the first of /etc, /run, /usr/local/lib and /usr/lib
// that has one. The .conf.d drop-ins of all four directories follow, in the order
// of their names. A drop-in hides those of the same name in later directories.
// The files of an instance, archy-recovery@UID.conf and its .d, override both.
//
// A mistake in a file never stops recovery. It is reported with file and line,
// and the default stays in force.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"archy-recovery/internal/recover"
)

// Config is the effective configuration of one instance.
type Config struct {
	// DataDirectory is the absolute path of the data directory. Empty means the instance's default.
	DataDirectory string
	// Debug says that debug messages are logged too.
	Debug  bool
	Policy recover.Policy
	// Origins maps each key that a file sets to its lines.
	Origins Origins
}

// Default returns the configuration without any file.
func Default() Config {
	p := recover.DefaultPolicy()
	cpus := runtime.NumCPU()
	p.MinParallel = max(p.MinParallel, 2*cpus)
	p.MaxParallel = max(p.MaxParallel, 4*cpus)
	return Config{Policy: p, Origins: Origins{}}
}

// searchPath lists the directories of configuration files, the one with the highest priority first.
var searchPath = []string{"etc", "run", "usr/local/lib", "usr/lib"}

// Load reads the configuration of an instance from the file tree root, usually
// os.DirFS("/"). The instance is "" for the system one, or a UID. Each problem is
// an error that names the file, and the line if there is one. The configuration
// is usable even if there are problems.
func Load(root fs.FS, instance string) (Config, []error) {
	c := Default()
	var problems []error
	names := []string{"archy-recovery.conf"}
	if instance != "" {
		names = append(names, "archy-recovery@"+instance+".conf")
	}
	for _, name := range names {
		files, err := filesOf(root, name)
		problems = append(problems, err...)
		for _, file := range files {
			text, err := fs.ReadFile(root, file)
			if err != nil {
				problems = append(problems, err)
				continue
			}
			problems = append(problems, c.parse("/"+file, string(text))...)
		}
	}
	return c, problems
}

// filesOf lists the files of one configuration name, in the order in which they apply.
func filesOf(root fs.FS, name string) (files []string, problems []error) {
	for _, dir := range searchPath {
		file := path.Join(dir, name)
		if _, err := fs.Stat(root, file); err == nil {
			files = append(files, file)
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
	}
	dropIns := map[string]string{} // base name -> file
	for _, dir := range searchPath {
		entries, err := fs.ReadDir(root, path.Join(dir, name+".d"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
		for _, e := range entries {
			if _, hidden := dropIns[e.Name()]; !hidden && strings.HasSuffix(e.Name(), ".conf") {
				dropIns[e.Name()] = path.Join(dir, name+".d", e.Name())
			}
		}
	}
	for _, base := range slices.SortedFunc(maps.Keys(dropIns), cmp.Compare) {
		file := dropIns[base]
		// A drop-in that links to /dev/null is masked. It is skipped by its link,
		// since a file system without devices cannot open it.
		if target, err := fs.ReadLink(root, file); err == nil && filepath.Clean(target) == os.DevNull {
			continue
		}
		files = append(files, file)
	}
	return files, problems
}

// parse applies the assignments of one file.
func (c *Config) parse(file, text string) (problems []error) {
	section := ""
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		origin := Origin{file, n + 1}
		if line[0] == '[' && line[len(line)-1] == ']' {
			section = line[1 : len(line)-1]
			if section != "Recovery" && section != "Tiers" {
				problems = append(problems,
					fmt.Errorf("%s: unknown section [%s]; ignored; the sections are [Recovery] and [Tiers]", origin, section))
			}
			continue
		}
		if err := c.assign(section, line, origin); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", origin, err))
		}
	}
	return problems
}

// assign applies one line Key=value. In an unknown section it does nothing.
func (c *Config) assign(section, line string, origin Origin) error {
	name, value, ok := strings.Cut(line, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok {
		return fmt.Errorf("%q is neither a section nor Key=value; ignored", line)
	}
	var list bool
	switch section {
	case "":
		return fmt.Errorf("%s= stands before any section; ignored; move it below [Recovery] or [Tiers]", name)
	case "Recovery":
		k, found := findKey(name)
		if !found {
			return fmt.Errorf("unknown key %s= in [Recovery]; ignored; see archy-recovery.conf(5)", name)
		}
		if err := k.set(c, value); err != nil {
			return fmt.Errorf("%s=: %w; ignored", name, err)
		}
		list = k.list
	case "Tiers":
		if err := c.setTier(name, value); err != nil {
			return fmt.Errorf("%w; ignored", err)
		}
		list = true
	default:
		return nil
	}
	c.Origins.record(name, value, list, origin)
	return nil
}
