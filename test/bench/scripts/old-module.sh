#!/bin/sh
# The algorithm of the Rust module before archy-recovery, after a crash
# (crash_recovery.rs, recover_containers). It starts one container after another,
# with pauses of 3 s. The first attempt has 120 s. After 10 s, the second has 180 s.
first=yes
for name; do
	[ $first ] || sleep 3
	first=
	timeout 120 podman start "$name" >/dev/null && continue
	sleep 10
	timeout 180 podman start "$name" >/dev/null
done
exit 0
