#!/bin/sh
# What the Rust module before archy-recovery did after a crash
# (crash_recovery.rs, recover_containers): one container after another, 3 s
# between two, an attempt of 120 s and, 10 s later, one of 180 s.
first=yes
for name; do
	[ $first ] || sleep 3
	first=
	timeout 120 podman start "$name" >/dev/null && continue
	sleep 10
	timeout 180 podman start "$name" >/dev/null
done
exit 0
