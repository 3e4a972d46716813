package units

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// installed lists the installed service units outside of /usr. It leaves out templates, and those that Install
// wrote into the runtime directory. Masked units and aliases may be among them.
func (m *Manager) installed(ctx context.Context, l *link) ([]string, error) {
	files, err := m.serviceFiles(ctx, l)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, file := range files {
		name := path.Base(file)
		if !vendors(file) && !strings.Contains(name, "@.") && !installedIn(m.runtimeDir, file) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// vendors reports whether a unit file is one that a package ships.
func vendors(file string) bool {
	return strings.HasPrefix(file, "/usr/") || strings.HasPrefix(file, "/lib/")
}

// serviceFiles lists the files of the manager's service units. It reads the directories of Manager.UnitPath, but asks
// a user's manager instead (Manager.ListUnitFilesByPatterns): that looks in the user's home, too, which the sandbox
// hides.
//
// Asked, systemd also says of each file whether it is enabled, and reads all links in all directories for each.
// On a bare Debian the system's manager is busy for 0.1 to 0.2 s with that, and a boot starts nothing meanwhile.
func (m *Manager) serviceFiles(ctx context.Context, l *link) ([]string, error) {
	if m.address == m.hostBus {
		if files, err := readUnitPath(ctx, l); err == nil {
			return files, nil
		}
	}
	var all []struct{ Path, State string }
	err := l.call(ctx, managerPath, managerIfc+".ListUnitFilesByPatterns", []string{}, []string{"*.service"}).Store(&all)
	if err != nil {
		return nil, l.explain(err)
	}
	var files []string
	for _, f := range all {
		if !strings.HasPrefix(f.State, "masked") && f.State != "alias" && f.State != "bad" {
			files = append(files, f.Path)
		}
	}
	return files, nil
}

// readUnitPath lists the service files in the directories in which the manager looks for units, but for those of
// vendors. Of files with the same name the first counts. (systemd.unit(5), "Unit File Load Path")
func readUnitPath(ctx context.Context, l *link) (files []string, err error) {
	v, err := l.get(ctx, managerPath, managerIfc, "UnitPath")
	if err != nil {
		return nil, err
	}
	directories, ok := v.Value().([]string)
	if !ok || len(directories) == 0 {
		return nil, errors.New("systemd has no UnitPath")
	}
	seen := map[string]bool{}
	for _, directory := range directories {
		if vendors(directory) {
			continue
		}
		entries, err := os.ReadDir(directory)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, entry := range entries {
			if name := entry.Name(); strings.HasSuffix(name, ".service") && !seen[name] {
				seen[name] = true
				files = append(files, filepath.Join(directory, name))
			}
		}
	}
	return files, nil
}
