package recovery

import (
	"strings"
	"testing"
	"time"
)

// graphRoot is where podman keeps the containers of the instance.
func (n *node) graphRoot() string {
	if n.uid == 0 {
		return "/var/lib/containers/storage"
	}
	return "/home/archy/.local/share/containers/storage"
}

// syncs counts the syncs of the instance's storage in this boot that are over.
func (n *node) syncs() int {
	n.t.Helper()
	return strings.Count(n.Journal("-b", "-o", "cat"), ".service - Sync the File System of "+n.graphRoot()+".\n")
}

// waitSyncs waits for more syncs than there were, and returns how many there are.
func (n *node) waitSyncs(within time.Duration, why string, last int) int {
	n.t.Helper()
	now := last
	n.WaitFor(within, "a sync after "+why, func() bool { now = n.syncs(); return now > last })
	return now
}

// Nothing but the instance is enabled, and podman's storage is synced: after READY, and when an
// image has come.
func TestStorageSynced(t *testing.T) {
	onBothInstances(t, "", func(n *node) {
		n.enable()
		n.waitRecovered()
		last := n.waitSyncs(10*time.Second, "READY", 0)
		// The unit stays for a second after the sync. So the sync is within 2 s if this is within 3 s.
		n.user.MustRun("sh", "-c", "echo 1 >/tmp/content-$$ && tar -C /tmp -c content-$$ | podman import - localhost/new:1")
		last = n.waitSyncs(3*time.Second, "the import of an image", last)
		n.user.MustRun("podman", "tag", "localhost/new:1", "localhost/new:2")
		n.waitSyncs(3*time.Second, "a second change, for which the path has to be watched again", last)
		n.wantNoImpairment()
	})
}

// wantNoImpairment checks that the daemon has not logged that the storage is not synced.
func (n *node) wantNoImpairment() {
	n.t.Helper()
	if log := n.Journal("-b", "-u", n.unit()); strings.Contains(log, "not synced") {
		n.t.Errorf("the journal says:\n%s", log)
	}
}
