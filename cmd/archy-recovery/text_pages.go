package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// unmapProgram takes the pages of this program's own file out of its memory.
// They stay in the page cache, where the kernel may drop them when it wants memory
// for something else, and the few that are needed again come back from there one
// by one. (madvise(2), MADV_DONTNEED)
//
// Only mappings without a page of their own are touched: in others that
// page would be lost, such as one with the addresses that the loader has put into a
// position-independent program.
func unmapProgram() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer f.Close()
	var from, to uintptr // of the program's mapping that is being read; else 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && !strings.HasSuffix(fields[0], ":"): // proc_pid_maps(5)
			from, to = 0, 0
			if strings.Join(fields[5:], " ") == program && !strings.Contains(fields[1], "w") {
				if _, err := fmt.Sscanf(fields[0], "%x-%x", &from, &to); err != nil {
					return fmt.Errorf("%s: %w", fields[0], err)
				}
			}
		case to > from && fields[0] == "Anonymous:" && fields[1] == "0":
			if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
				return fmt.Errorf("madvise: %w", errno)
			}
		}
	}
	return lines.Err()
}
