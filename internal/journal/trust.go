package journal

import "strconv"

// trusted reports whether the sender of an entry may use its MESSAGE_ID=. Every user
// may write entries with any fields, except those that begin with an underscore.
// journald sets these from what the kernel says of the sender
// (systemd.journal-fields(7)). uid is the user who runs the containers.
func trusted(e entry, uid int) bool {
	switch e.id {
	case idJournalStopped:
		return e.fields["_TRANSPORT"] == "driver" // only journald itself has that transport
	case idShutdown:
		return sentBy(e, "systemd-logind.service")
	}
	// The other IDs are about the units of a manager: the host's, which is PID 1, or that
	// of the containers' user. That user can only deceive the instance of the same user.
	return e.pid == 1 || e.fields["UNIT"] == "" && e.fields["_UID"] == strconv.Itoa(uid)
}

// sentBy reports whether a process of root in the given unit sent the entry. A
// process that ends at once can be gone before journald finds its unit. It is
// trusted then, because it was root's.
func sentBy(e entry, unit string) bool {
	of := e.fields["_SYSTEMD_UNIT"]
	return e.fields["_UID"] == "0" && (of == "" || of == unit)
}
