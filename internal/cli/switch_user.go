package cli

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// becomeOwner gives up root for the user whose containers the instance has: a
// user's bus answers nobody else, not even root. There is no way back, so it is
// only for a verb that ends soon.
func (i instance) becomeOwner() error {
	if i.system || os.Geteuid() != 0 || i.uid == 0 {
		return nil
	}
	owner, err := user.LookupId(strconv.Itoa(i.uid))
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
		err = syscall.Setresuid(i.uid, i.uid, i.uid)
	}
	if err != nil {
		return fmt.Errorf("cannot become uid %d: %w", i.uid, err)
	}
	return nil
}
