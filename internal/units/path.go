package units

import (
	"path"
	"strconv"
	"strings"

	systemdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// pathOf is the object of a unit, loaded or not: systemd loads it when it is
// asked for (sd_bus_path_encode(3)).
func pathOf(unit string) dbus.ObjectPath {
	return managerPath + "/unit/" + dbus.ObjectPath(systemdbus.PathBusEscape(unit))
}

// unitOf is the unit's name in an object path, where each byte that is no
// letter or digit is written _XX (sd_bus_path_encode(3)).
func unitOf(p dbus.ObjectPath) string {
	label := path.Base(string(p))
	var name strings.Builder
	for i := 0; i < len(label); i++ {
		if label[i] == '_' && i+2 < len(label) {
			if b, err := strconv.ParseUint(label[i+1:i+3], 16, 8); err == nil {
				name.WriteByte(byte(b))
				i += 2
				continue
			}
		}
		name.WriteByte(label[i])
	}
	return name.String()
}
