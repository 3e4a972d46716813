package units

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/godbus/dbus/v5"
)

// Definition returns a digest of a unit's files and commands, which changes when the unit is changed
// (Unit.FragmentPath, Unit.DropInPaths, Service.ExecStart). A file that cannot be read counts by its
// path only.
func (m *Manager) Definition(ctx context.Context, unit string) (string, error) {
	if err := checkUnit(unit); err != nil {
		return "", err
	}
	l, err := m.connect(ctx)
	if err != nil {
		return "", err
	}
	var path dbus.ObjectPath
	if err := l.call(ctx, managerPath, managerIfc+".LoadUnit", unit).Store(&path); err != nil {
		return "", l.explain(err)
	}
	files := []string{}
	if fragment, err := l.getString(ctx, path, unitIfc, "FragmentPath"); err == nil {
		files = append(files, fragment)
	}
	if v, err := l.get(ctx, path, unitIfc, "DropInPaths"); err == nil {
		dropIns, _ := v.Value().([]string)
		files = append(files, dropIns...)
	}
	sum := sha256.New()
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			content = []byte("not to be read by us") // the sandbox hides users' homes; digests keep this text
		}
		fmt.Fprintf(sum, "%s\n%d\n%s", file, len(content), content)
	}
	v, err := l.get(ctx, path, serviceIfc, "ExecStart")
	if err != nil {
		return "", l.explain(err)
	}
	var commands []execCommand
	if err := v.Store(&commands); err != nil {
		return "", err
	}
	for _, c := range commands {
		fmt.Fprintf(sum, "%q\n", c.Argv)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
