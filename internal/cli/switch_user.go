package cli

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// switchToOwner makes the process that of the instance's user, if root runs it.
// A user's bus answers only that user, not even root. There is no way back, so
// it is only for a verb that ends soon.
func (i Instance) switchToOwner() error {
	if i.System || os.Geteuid() != 0 || i.UID == 0 {
		return nil
	}
	owner, err := user.LookupId(strconv.Itoa(i.UID))
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(owner.Gid)
	if err == nil {
		err = syscall.Setgroups([]int{gid})
	}
	if err == nil {
		err = syscall.Setresgid(gid, gid, gid)
	}
	if err == nil {
		err = syscall.Setresuid(i.UID, i.UID, i.UID)
	}
	if err != nil {
		return fmt.Errorf("cannot switch to uid %d: %w", i.UID, err)
	}
	return nil
}
