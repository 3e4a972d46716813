package main

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"

	"archy-recovery/internal/control"

	"golang.org/x/sys/unix"
)

// dropTextPagesWhenIdle drops the program's text pages when the idle time begins.
// It drops them again each time the last client of the API leaves, because an
// answer brings pages back. Call it before either can happen.
func dropTextPagesWhenIdle(memory *memoryReleaser, api *control.Server, log *slog.Logger) {
	var idle atomic.Bool
	drop := func() {
		if !idle.Load() {
			return
		}
		if err := dropTextPages(); err != nil {
			log.Debug("cannot drop the program's text pages; they stay in memory", "error", err)
		}
	}
	memory.whenIdle = func() {
		idle.Store(true)
		drop()
	}
	api.OnIdle(drop)
}

// dropTextPages drops the pages of this program's own file from its memory
// (madvise(2), MADV_DONTNEED). They stay in the page cache, where the kernel may
// reclaim them. The few that are needed again are read from there, one by one.
//
// It skips a mapping that has an anonymous page, because that page would be lost.
// An example is a page with addresses that the loader wrote into a
// position-independent program.
func dropTextPages() error {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return err
	}
	defer f.Close()
	var from, to uintptr // the mapping that is being read; both 0 if it is not the program's
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && !strings.HasSuffix(fields[0], ":"): // a mapping begins, as in proc_pid_maps(5)
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
