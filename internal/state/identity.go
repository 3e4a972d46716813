package state

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"archy-recovery/internal/recover"
)

// Here returns the identity of this process: its boot, its PID, and its start time
// in clock ticks since the boot (proc_pid_stat(5)).
//
// bootID is the boot ID of the service manager (%b of systemd.unit(5)), or "" for that of
// the kernel (random(4)). The manager's takes precedence, since the journal uses it. The two
// differ where the whole system runs in a container. There a unit with a private /proc sees the
// kernel's boot ID, which is that of the host.
//
// softReboots is systemd's count of soft-reboots in this boot.
func Here(bootID string, softReboots uint64) (recover.Identity, error) {
	if bootID == "" {
		kernel, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		if err != nil {
			return recover.Identity{}, fmt.Errorf("cannot read the boot ID: %w", err)
		}
		// systemd and the journal write it without dashes
		bootID = strings.ReplaceAll(strings.TrimSpace(string(kernel)), "-", "")
	}
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return recover.Identity{}, fmt.Errorf("cannot read the start time of this process: %w", err)
	}
	start, err := startTime(stat)
	if err != nil {
		return recover.Identity{}, err
	}
	return recover.Identity{BootID: bootID, SoftReboots: softReboots, PID: os.Getpid(), StartTime: start}, nil
}

// startTime returns field 22 of a stat line. Field 2 is the command's name in parentheses,
// and may itself contain spaces and parentheses.
func startTime(stat []byte) (uint64, error) {
	const field22 = 22 - 3 // field 3 is the first after the last parenthesis
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= field22 {
		return 0, fmt.Errorf("no start time in %q", stat)
	}
	return strconv.ParseUint(string(fields[field22]), 10, 64)
}
