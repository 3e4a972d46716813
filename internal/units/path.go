package units

import (
	"path"
	"strconv"
	"strings"

	systemdbus "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// pathOf returns the object path of a unit (sd_bus_path_encode(3)). The unit need not be loaded: a call on
// the path loads it.
func pathOf(unit string) dbus.ObjectPath {
	return managerPath + "/unit/" + dbus.ObjectPath(systemdbus.PathBusEscape(unit))
}

// unitOf returns the name of the unit in an object path. There a byte that is no letter or digit is _XX in
// hexadecimal (sd_bus_path_encode(3)).
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
