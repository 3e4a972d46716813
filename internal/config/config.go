// Package config reads archy-recovery.conf the way systemd reads its own
// configuration (systemd.syntax(7), systemd-system.conf(5)): the main file from
// the first of /etc, /run, /usr/local/lib and /usr/lib that has one, then the
// .conf.d drop-ins of all of them in the order of their names, where a file in
// an earlier directory hides one of the same name in a later one. The files of
// an instance, archy-recovery@UID.conf and its .d, override both.
//
// What is wrong in a file never stops recovery: it is named with file and
// line, and the default stands.
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
	// DataDirectory is where state lives; empty means the instance's default.
	DataDirectory string
	// Debug asks for debug messages too.
	Debug  bool
	Policy recover.Policy
	// Origins say where the values come from.
	Origins Origins
}

// Default is what holds without any file.
func Default() Config {
	p := recover.DefaultPolicy()
	cpus := runtime.NumCPU()
	p.MinParallel = max(p.MinParallel, 2*cpus)
	p.MaxParallel = max(p.MaxParallel, 4*cpus)
	return Config{Policy: p, Origins: Origins{}}
}

// searchPath is where files are looked for, strongest first.
var searchPath = []string{"etc", "run", "usr/local/lib", "usr/lib"}

// Load reads the configuration of instance ("" for the system one, else a UID)
// from the file tree root, usually os.DirFS("/"). Each problem is an error
// that names file and line; the configuration is usable all the same.
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

// filesOf lists the files that make up name, in the order in which they apply.
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
		// A drop-in that is a link to /dev/null is masked: it has no content,
		// and a file system without devices cannot even open it.
		if target, err := fs.ReadLink(root, file); err == nil && filepath.Clean(target) == os.DevNull {
			continue
		}
		files = append(files, file)
	}
	return files, problems
}

// parse takes one file's assignments over.
func (c *Config) parse(file, text string) (problems []error) {
	section := ""
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		complain := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("%s:%d: %w", file, n+1, fmt.Errorf(format, args...)))
		}
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' && line[len(line)-1] == ']' {
			section = line[1 : len(line)-1]
			if section != "Recovery" && section != "Tiers" {
				complain("unknown section [%s]; there are [Recovery] and [Tiers]", section)
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case !ok:
			complain("%q is neither a section nor Key=value", line)
		case section == "Recovery":
			set, known := recoveryKeys[key]
			if !known {
				complain("unknown key %s= in [Recovery]", key)
			} else if err := set(c, value); err != nil {
				complain("%s=: %w; ignored", key, err)
			} else {
				c.Origins.set(key, value, key == "CleanBootList", Origin{file, n + 1})
			}
		case section == "Tiers":
			if err := c.setTier(key, value); err != nil {
				complain("%w; ignored", err)
			} else {
				c.Origins.set(key, value, true, Origin{file, n + 1})
			}
		case section == "":
			complain("%s= stands before any section", key)
		}
	}
	return problems
}
