package podman

import (
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// ForgetDead has a user's podman forget what it takes for running where nothing
// of that lives any more, and reports whether it did. dir is XDG_RUNTIME_DIR.
//
// When a user's manager is restarted all its containers end, but the run-time
// directory stays, and with it podman's record of this boot. If there is a
// container in it whose end podman was not told of, since its conmon was killed
// before, podman until 5.7 fails whatever it is asked: it looks for a process
// whose user namespace it could join, and takes that there is none for a damage
// ("invalid internal status"). Its own remedy, podman system migrate, crashes
// (containers/podman#27604 mends both). The file alive says that the record is
// of this boot. Without it podman takes nothing for running, as after a reboot:
// which is the truth if no process of pause.pid or of a container lives.
func ForgetDead(dir string) bool {
	alive := filepath.Join(dir, "libpod/tmp/alive")
	if _, err := os.Stat(alive); err != nil {
		return false
	}
	// Those of the containers, and their conmons.
	files, _ := filepath.Glob(filepath.Join(dir, "containers/*-containers/*/userdata/*pid*")) // the pattern is well-formed: no error
	if len(files) == 0 {
		return false
	}
	for _, file := range append(files, filepath.Join(dir, "libpod/tmp/pause.pid")) {
		if !dead(file) {
			return false
		}
	}
	return os.Remove(alive) == nil
}

// dead reports whether a file names a process that is gone, or is itself. What
// cannot be read may live.
func dead(file string) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return os.IsNotExist(err)
	}
	pid, err := strconv.Atoi(string(text))
	return err == nil && pid > 0 && unix.Kill(pid, 0) == unix.ESRCH
}
