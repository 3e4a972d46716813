package state

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"archy-recovery/internal/recover"
)

// Here is who this process is: boot ID (random(4)) and start time
// (proc_pid_stat(5)), with the count of soft-reboots that systemd gave.
func Here(softReboots uint64) (recover.Identity, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return recover.Identity{}, fmt.Errorf("cannot read the boot ID: %w", err)
	}
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return recover.Identity{}, fmt.Errorf("cannot read our start time: %w", err)
	}
	start, err := startTime(stat)
	if err != nil {
		return recover.Identity{}, err
	}
	return recover.Identity{
		// without dashes, as systemd and the journal write it
		BootID:      strings.ReplaceAll(strings.TrimSpace(string(boot)), "-", ""),
		SoftReboots: softReboots,
		PID:         os.Getpid(),
		StartTime:   start,
	}, nil
}

// startTime is field 22 of a stat line. Field 2, the command's name in
// parentheses, may hold anything, also spaces and parentheses.
func startTime(stat []byte) (uint64, error) {
	const after = 22 - 3 // fields 3, 4, … follow the last parenthesis
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= after {
		return 0, fmt.Errorf("no start time in %q", stat)
	}
	return strconv.ParseUint(string(fields[after]), 10, 64)
}
