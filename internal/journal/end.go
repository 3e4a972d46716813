package journal

import (
	"context"
	"strconv"

	"archy-recovery/internal/recover"
)

// How many entries of a boot are read: the last ones of one that ended, and the
// first ones of one that runs, which can be months old.
const (
	tailLines = 400
	headLines = 2000
)

// BootEnd returns how the boot with the given ID ended, and what the running boot,
// thisBoot, found of that end.
func (r *Reader) BootEnd(ctx context.Context, boot, thisBoot string) (recover.BootEnd, error) {
	end, err := r.journalEnd(ctx, boot, thisBoot)
	end.Next = append(end.Next, watchdogResets(r.watchdogs)...)
	return end, err
}

// journalEnd returns what the journal alone says of the end of a boot. next is the
// boot after it, which need not run any more.
func (r *Reader) journalEnd(ctx context.Context, boot, next string) (recover.BootEnd, error) {
	var end recover.BootEnd
	err := r.each(ctx, func(e entry) bool {
		sign := signOf(e)
		sign.Started = startOf(e, r.uid)
		end.Tail = append(end.Tail, sign)
		return true
	}, "--lines="+strconv.Itoa(tailLines), "_BOOT_ID="+boot)
	if err != nil {
		return end, err
	}
	lines := 0
	whole := end
	// --all: the text of a crash record is FILE=, which is long.
	err = r.each(ctx, func(e entry) bool {
		if lines++; lines > headLines {
			return false
		}
		switch {
		case e.kernel:
			whole.Next = append(whole.Next, signOf(e))
		case sentBy(e, "systemd-pstore.service"):
			// This is not the output of a container of root with the name systemd-pstore:
			// podman writes that with the container's name as the identifier.
			whole.Records = append(whole.Records, recordOf(e))
		}
		return true
	}, "--all", "_BOOT_ID="+next, "_TRANSPORT=kernel", "+",
		"_BOOT_ID="+next, "SYSLOG_IDENTIFIER=systemd-pstore", "_UID=0")
	if err != nil {
		return end, err
	}
	return whole, nil
}

// ServiceEnd returns the last 50 entries in which systemd tells, in the given boot,
// of our unit. Entries about this run of the unit are left out.
func (r *Reader) ServiceEnd(ctx context.Context, boot string) ([]recover.Sign, error) {
	var signs []recover.Sign
	err := r.each(ctx, func(e entry) bool {
		if r.invocation == "" || e.fields["INVOCATION_ID"] != r.invocation {
			signs = append(signs, signOf(e))
		}
		return true
	}, "--lines=50", "_BOOT_ID="+boot, "_PID=1", "UNIT="+r.unit)
	return signs, err
}
