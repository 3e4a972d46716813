package state

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"archy-recovery/internal/recover"
)

// Here is who this process is: the boot, with the count of soft-reboots that
// systemd gave, the PID and the start time (proc_pid_stat(5)).
//
// bootID is what the service manager calls this boot (%b of systemd.unit(5)),
// or "" to ask the kernel (random(4)). The manager's word goes first: the
// journal uses the same, and where the whole system runs in a container, a unit
// with a /proc of its own sees the boot ID of the host below.
func Here(bootID string, softReboots uint64) (recover.Identity, error) {
	if bootID == "" {
		kernel, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		if err != nil {
			return recover.Identity{}, fmt.Errorf("cannot read the boot ID: %w", err)
		}
		// without dashes, as systemd and the journal write it
		bootID = strings.ReplaceAll(strings.TrimSpace(string(kernel)), "-", "")
	}
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return recover.Identity{}, fmt.Errorf("cannot read our start time: %w", err)
	}
	start, err := startTime(stat)
	if err != nil {
		return recover.Identity{}, err
	}
	return recover.Identity{BootID: bootID, SoftReboots: softReboots, PID: os.Getpid(), StartTime: start}, nil
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
