package diagnosis

// A Cause is one row of the table of known causes.
type Cause struct {
	// ID is the cause's name in reports, metrics and documents. It stays.
	ID string
	// MessageID is the MESSAGE_ID of the journal entry that names the cause. The catalog
	// explains it (journalctl -x).
	MessageID string
	// Means says in general what happened.
	Means string
	// sentence says it of one attempt. {name|other} stands for a name that the
	// line has, or for other if it has none; [… {name} …] is left out if it has none.
	sentence string
	// advice says what to do, in the same way. {podman}, {systemctl} and {journal}
	// are the commands of the container's user.
	advice string
}

// Causes returns the table, in the order in which a line is compared with it.
func Causes() []Cause { return append([]Cause(nil), table...) }

// MessageID is that of the cause with an ID, "" of an unknown one.
func MessageID(cause string) string {
	for _, c := range table {
		if c.ID == cause {
			return c.MessageID
		}
	}
	return ""
}

// PortTaken is the ID of the cause whose name "port" another program has.
const PortTaken = "port-taken"

// IDs of causes that are asked for.
const (
	// BindMissing: the source of a bind mount is not there.
	BindMissing = "bind-source-missing"
	// ImageDamaged: an image is damaged in podman's storage.
	ImageDamaged = "image-damaged"
	// ImageMissing: an image is not there, and is not pulled.
	ImageMissing = "image-missing"
)

var table = []Cause{
	{
		ID:        "keys-used-up",
		MessageID: "e07091a80c2e479698c6a575421564db",
		Means: "The kernel gives each user but root a number of keys, 200 by default. The runtime makes a keyring for " +
			"each container.",
		sentence: "the kernel gives this user no more keys, and each container takes one",
		advice: "Raise the limit (`sysctl kernel.keys.maxkeys=2000`, and in /etc/sysctl.d/), or set `keyring = false` in " +
			"containers.conf(5), then run `{systemctl} restart {unit}`. See `cat /proc/key-users`.",
	},
	{
		ID:        "no-space",
		MessageID: "1cd13d40f76042819d67bca3174a5fba",
		Means:     "A file system that the start writes to is full: most often podman's storage.",
		sentence:  "no space is left on the file system of {path|podman's storage}",
		advice: "Free space there (`df -h`, `{podman} system df`, `{podman} image prune`), then run `{systemctl} " +
			"restart {unit}`.",
	},
	{
		ID:        "read-only",
		MessageID: "962ea5d4e6fb4a0383fd6a87b9ac58e7",
		Means: "A file system that the start writes to is read-only: after a crash, often because the kernel found " +
			"damage.",
		sentence: "the file system of {path|podman's storage} is read-only",
		advice: "Look for the reason in `journalctl -k -b`, check the file system (fsck), mount it writable, then " +
			"run `{systemctl} restart {unit}`.",
	},
	{
		ID:        "image-damaged",
		MessageID: "157c69ba5e834324b63bd37ffbdae163",
		Means: "The image, or a layer of it, is damaged in podman's storage: a power cut can lose what was not yet " +
			"on the disk.",
		sentence: "a layer of the image[ {image}] is damaged in podman's storage[: {path}]",
		advice: "See what mends that with `archy-recovery repair {container|NAME}`, and do it with `--yes`. By hand: " +
			"`{podman} rmi --force {image|IMAGE}`, which removes its containers, too, but no volumes; `{podman} pull " +
			"{image|IMAGE}`; create plain containers again; run `{systemctl} restart {unit}`. `archy-recovery " +
			"storage check GRAPHROOT` tells what else is damaged.",
	},
	{
		ID:        "database-damaged",
		MessageID: "9810b038b606403b97467353d69b2d3b",
		Means: "The file in which podman keeps its containers, pods and volumes is damaged. No container can " +
			"be started until that is mended.",
		sentence: "podman's database of containers is damaged",
		advice: "Keep a copy of db.sql in podman's graph root (`{podman} info` names it). Mend it with the program " +
			"of the package sqlite3: `sqlite3 db.sql .recover | sqlite3 new.sql`. Or move it away: podman then begins an " +
			"empty one, keeps images and volumes, and knows none of the containers. Then run `{systemctl} restart {unit}`.",
	},
	{
		ID:        "helper-missing",
		MessageID: "9f39e387c750497ab2c101cffed94bbe",
		Means:     "A program of the host that podman runs to start a container is not installed.",
		sentence:  "the program {program|that podman needs} is not installed on this host",
		advice: "Install the package that has it (such as uidmap, passt, slirp4netns, netavark or iptables), then run " +
			"`{systemctl} restart {unit}`.",
	},
	{
		ID:        "user-namespace",
		MessageID: "060ecbf4af4d48b39bb0de774a8937e5",
		Means: "The user namespace cannot be made: the user has no (or too few) subordinate IDs, or the kernel does " +
			"not allow it.",
		sentence: "the user namespace cannot be made: subordinate IDs are missing or too few",
		advice: "Compare /etc/subuid and /etc/subgid with `{podman} unshare cat /proc/self/uid_map`. Add a range: " +
			"`usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER`. Then run `{podman} system " +
			"migrate`, which stops this user's containers.",
	},
	{
		ID:        "pause-process",
		MessageID: "daf005954c5f412ab9ff6fc1a51dbca1",
		Means: "The process that holds the user namespace of rootless podman is gone or is another one's: its PID " +
			"file is stale.",
		sentence: "the pause process of this user's podman is stale",
		advice: "Run `{podman} system migrate`, which stops this user's containers, then `{systemctl} restart " +
			"{unit}`.",
	},
	{
		ID:        "secret-missing",
		MessageID: "d90659161a8e4d8896caa9409c3b357d",
		Means:     "A secret that the container uses is not in podman's store.",
		sentence:  "the secret {secret|that it uses} is not there",
		advice:    "Create it: `{podman} secret create {secret|NAME} FILE`, then run `{systemctl} restart {unit}`.",
	},
	{
		ID:        "name-in-use-storage",
		MessageID: "bbe50099ec624f388a260f91a2cdf37b",
		Means: "podman's storage holds a container of that name that podman itself no longer knows, such as one " +
			"left by a crash or made by buildah.",
		sentence: "the name[ {name}] is in use by a container that only podman's storage knows[: {id}]",
		advice: "See what mends that with `archy-recovery repair {container|NAME}`, and do it with `--yes`. By hand: " +
			"see it with `{podman} ps --all --external`, remove it with `{podman} rm {id|ID}`, then run `{systemctl} " +
			"restart {unit}`.",
	},
	{
		ID:        "name-in-use",
		MessageID: "318f3702d2bb42719340d0379f780a4e",
		Means:     "Another container has the name.",
		sentence:  "the name[ {name}] is in use by another container[: {id}]",
		advice: "See what it is with `{podman} ps --all --external`, remove it with `{podman} rm {id|ID}` or rename " +
			"it, then run `{systemctl} restart {unit}`.",
	},
	{
		ID:        "container-missing",
		MessageID: "523007266a264ac99292f73c0be3844c",
		Means:     "podman does not know the container any more, or one that it depends on.",
		sentence:  "podman knows no container {name|of that name}",
		advice: "Create it again, as it was made before. Check first that podman's storage is mounted (`{podman} " +
			"info --format '{{.Store.GraphRoot}}'`).",
	},
	{
		ID:        "network-missing",
		MessageID: "886bfbac9c8547e0a8b418369f46ebeb",
		Means:     "A podman network that the container uses does not exist.",
		sentence:  "the network {network|that it uses} does not exist",
		advice: "Create it: `{podman} network create {network|NAME}`, or start its .network unit, then run " +
			"`{systemctl} restart {unit}`.",
	},
	{
		ID:        "address-unavailable",
		MessageID: "ade462b111a849c3a0dd90e90c14f70b",
		Means: "The container asks for an IP address that is taken, outside of its network, or not (yet) this " +
			"host's.",
		sentence: "the address {address|that it asks for} cannot be used",
		advice: "Compare `ip address` and `{podman} network inspect` with the container's settings. If the address " +
			"comes late after a boot, order the unit after network-online.target.",
	},
	{
		ID:        PortTaken,
		MessageID: "cb268035e8844697a028f84e36decc47",
		Means:     "Another program, or another container, has a port that the container publishes.",
		sentence:  "the port {port|that it publishes} is taken",
		advice: "Find what has it with `ss -lntup 'sport = :{port|PORT}'`, stop that or publish another port, then " +
			"run `{systemctl} restart {unit}`.",
	},
	{
		ID:        "port-privileged",
		MessageID: "fe55fe96fd1a4baf8c73e239d5f72d92",
		Means:     "A rootless container publishes a port below the first one that users may have.",
		sentence:  "users may not publish the port {port|that it asks for}",
		advice: "Publish a higher one, or set `net.ipv4.ip_unprivileged_port_start={port|PORT}` in /etc/sysctl.d, " +
			"then run `{systemctl} restart {unit}`.",
	},
	{
		ID:        "device-missing",
		MessageID: "c01efd1f7c384306aede59fbebd81e54",
		Means:     "A device that the container uses is not there: unplugged, or its driver is not loaded.",
		sentence:  "the device {device|that it uses} is not there",
		advice: "Plug it in or load its driver (`ls -l {device|/dev}`, `journalctl -k -b`), then run `{systemctl} " +
			"restart {unit}`.",
	},
	{
		ID:        BindMissing,
		MessageID: "ff3035ed4a1349298cda2fa4aa1964ac",
		Means: "A file or directory of the host that the container mounts is not there: often its disk is not " +
			"mounted.",
		sentence: "{path|what it mounts from the host} is not there",
		advice: "Mount its disk (`findmnt --target {path|PATH}`, `systemctl --failed --type=mount`) or create it, " +
			"then run `{systemctl} restart {unit}`.",
	},
	{
		ID:        ImageMissing,
		MessageID: "7166fc4191534a95a73805b114cbbc69",
		Means:     "The image is not on this host, and is not to be pulled or cannot be found by its short name.",
		sentence:  "the image {image|that it needs} is not there",
		advice: "Get it: `{podman} pull {image|IMAGE}` (or load or build it), then run `{systemctl} restart {unit}`. " +
			"Check first that podman's storage is mounted.",
	},
	{
		ID:        "pull-limited",
		MessageID: "77e84e956d92461ea5cb563b3e567926",
		Means:     "The registry refuses to be asked for images more often.",
		sentence:  "the registry refuses to give out {image|the image}: too many were asked for",
		advice:    "Wait, or log in (`{podman} login`), then run `{systemctl} restart {unit}`.",
	},
	{
		ID:        "pull-denied",
		MessageID: "16ad064f730a45fab26cc6db8aca960f",
		Means:     "The registry does not give the image without a login, or not to this one.",
		sentence:  "the registry denies {image|the image}",
		advice: "Check its name, log in (`{podman} login`), then run `{podman} pull {image|IMAGE}` and `{systemctl} " +
			"restart {unit}`.",
	},
	{
		ID:        "pull-not-found",
		MessageID: "8c74598f7d8d4877a3a95fe49ecca4b4",
		Means:     "The registry has no such image or tag.",
		sentence:  "the registry does not have {image|the image}",
		advice:    "Check its name and tag, then run `{podman} pull {image|IMAGE}` and `{systemctl} restart {unit}`.",
	},
	{
		ID:        "pull-dns",
		MessageID: "ea046f4dd5b54e148e5300e2a16aee15",
		Means: "The image is to be pulled, and the registry's name cannot be resolved: often the network is not up " +
			"yet.",
		sentence: "the registry's name[ {host}] cannot be resolved",
		advice: "Check the name and the resolver (`resolvectl query {host|HOST}`). An image that is on this host " +
			"needs no pull (Pull=missing).",
	},
	{
		ID:        "pull-tls",
		MessageID: "9eb3bdcbc0044769b35eaf37c78ba48d",
		Means: "The image is to be pulled, and the registry's certificate is not accepted: after a power cut, often " +
			"because the clock is wrong.",
		sentence: "the certificate of the registry of {image|the image} is not accepted",
		advice: "Compare the clock (`timedatectl`) with the certificate, and install the registry's CA below " +
			"/etc/containers/certs.d.",
	},
	{
		ID:        "pull-failed",
		MessageID: "8c1e3e81d4b84d96bfcab3007391a09c",
		Means:     "The image is to be pulled, and that fails: the registry cannot be reached or answers with an error.",
		sentence:  "{image|the image} cannot be pulled",
		advice: "Check the network and the registry, then run `{podman} pull {image|IMAGE}` and `{systemctl} restart " +
			"{unit}`. An image that is on this host needs no pull (Pull=missing).",
	},
	{
		ID:        "exec-format",
		MessageID: "a4490b3b5e664592841ffc9762321d55",
		Means: "The program in the image cannot be executed: built for another architecture, or empty or damaged " +
			"since a power cut.",
		sentence: "the program {path|of the image} cannot be executed here: another architecture, or a damaged file",
		advice: "Compare `{podman} image inspect --format '{{.Architecture}}' {image|IMAGE}` with `uname -m`. If " +
			"they agree, the file is damaged. Get the image anew: `{podman} rmi --force {image|IMAGE}`, which " +
			"removes its containers, too, but no volumes, then `{podman} pull {image|IMAGE}`.",
	},
	{
		ID:        "command-missing",
		MessageID: "023f0dabc3634076ac2519084c28a2fc",
		Means:     "The program that the container is to run is not in its image.",
		sentence:  "the program {path|that it is to run} is not in its image",
		advice: "Check the image's tag and the unit's Exec= and Entrypoint=. If the image is right, it may be " +
			"damaged: pull it anew.",
	},
	{
		ID:        "user-missing",
		MessageID: "988b55fee38249e0b38733d13dd0ec11",
		Means:     "The user or group that the container is to run as is not in its image.",
		sentence:  "its image has no user or group {user|of that name}",
		advice: "Check the unit's User= and Group=, and the image's tag. If both are right, the image may be " +
			"damaged: pull it anew.",
	},
	{
		ID:        "boot-id",
		MessageID: "80fe7081623a4c52a95d9d2260c9da07",
		Means: "podman finds files in its directories below /run that are of another boot, so /run was not emptied " +
			"by the reboot.",
		sentence: "podman's files below /run are of another boot",
		advice: "Make sure that /run is a tmpfs, stop this user's containers, remove the directories that the line " +
			"names, then run `{systemctl} restart {unit}`.",
	},
	{
		ID:        "permission",
		MessageID: "858f045241344e0187718aef20ff0877",
		Means: "podman or the OCI runtime may not do what the container asks for: mode or owner of a file, or the " +
			"user's rights.",
		sentence: "permission denied[: {path}]",
		advice: "Compare mode and owner (`namei -l {path|PATH}`) with the container's user. With SELinux, add `:z` " +
			"or `:Z` to the volume.",
	},
	{
		ID:        "locks-exhausted",
		MessageID: "54326b09a21044b983cf3beaeb6aefe8",
		Means: "podman has no lock left for another container: it has one for each container, pod and volume, 2048 " +
			"in all.",
		sentence: "podman has no lock left for another container, pod or volume",
		advice: "Remove containers, pods and volumes that you know to be unused, or raise num_locks in " +
			"containers.conf. Then, with no container running, run `{podman} system renumber`.",
	},
	{
		ID:        "outdated-container",
		MessageID: "716af4f7ceb6466ca5af5a458b61f2a2",
		Means: "The container was made by an older podman and uses what this podman no longer has: slirp4netns, CNI " +
			"or BoltDB.",
		sentence: "it uses what this podman no longer has",
		advice: "Run `{podman} system migrate`, which stops this user's containers (for BoltDB: reboot, or follow " +
			"the line that is quoted). Then run `{systemctl} restart {unit}`.",
	},
	{
		ID:        "invalid-option",
		MessageID: "e0430034bf8c4852afaa0e5a4985933d",
		Means:     "podman does not accept what the unit asks for: a mistake, or an option of a newer podman.",
		sentence:  "podman does not accept an option of the unit",
		advice: "Correct the unit (`{systemctl} cat {unit}`) by the line that is quoted, run `{systemctl} " +
			"daemon-reload`, then `{systemctl} restart {unit}`.",
	},
	{
		ID:        "out-of-memory",
		MessageID: "71ee6a233af1455aada11882dd8037f1",
		Means:     "The container, or podman, was killed for want of memory: by its own limit or the host's.",
		sentence:  "it was killed because memory ran out",
		advice: "Look at `journalctl -k -b --grep 'Out of memory|oom-kill'`, raise its limit (Memory=, MemoryMax=) " +
			"or start less beside it.",
	},
	{
		ID:        "pull-slow",
		MessageID: "ea50d7678ddb4d33816f7ec99a39e89e",
		Means:     "The image was still being pulled when the unit's TimeoutStartSec= was over.",
		sentence:  "{image|the image} was still being pulled when TimeoutStartSec= was over",
		advice: "Pull it by hand (`{podman} pull {image|IMAGE}`) and run `{systemctl} restart {unit}`, or raise " +
			"TimeoutStartSec=.",
	},
	{
		ID:        "health-timeout",
		MessageID: "915716d0f2f4431d85e2cadecc248d59",
		Means: "The container ran and was not healthy in time (Notify=healthy): systemd stopped it when " +
			"TimeoutStartSec= was over.",
		sentence: "it ran and did not become healthy within TimeoutStartSec=, so systemd stopped it",
		advice: "Try its health check while it runs (`{podman} healthcheck run {container|NAME}`), or raise " +
			"TimeoutStartSec=.",
	},
	{
		ID:        "start-timeout",
		MessageID: "e54da8960b3645bfb8996abc10725e4f",
		Means: "The container did not say in time that it is ready, or podman hung: systemd ended the start when " +
			"TimeoutStartSec= was over.",
		sentence: "its start did not end within TimeoutStartSec=, so systemd ended it",
		advice:   "Read what it said (`{journal} {unit}`), or raise TimeoutStartSec= if it is just slow.",
	},
	{
		ID:        "start-limit",
		MessageID: "6e49a08e44f5496885648135d94e9667",
		Means: "systemd refuses to start the unit again: it was started too often in a short time " +
			"(StartLimitBurst=).",
		sentence: "systemd refuses to start it again, because it failed too often",
		advice: "Find out why it failed before (`{systemctl} status {unit}`), then run `{systemctl} reset-failed " +
			"{unit}` and `{systemctl} start {unit}`.",
	},
	{
		ID:        "signal",
		MessageID: "5ff413594d3542329420e83434242d51",
		Means:     "A signal ended the container's program, or podman.",
		sentence:  "{signal|a signal} ended it",
		advice: "Look at `coredumpctl list` and `journalctl -k -b`. SIGKILL of a container with a memory limit often " +
			"means that it ran out of memory.",
	},
	{
		ID:        "exit-code",
		MessageID: "dbc40a06a12f4e66bd7cfe053941b680",
		Means:     "podman started the program, and the program ended with an error of its own.",
		sentence:  "its program ended with exit status {status}[; its last line: {line}]",
		advice: "Read what it printed: `{podman} logs {container|NAME}`, or `{systemctl} status {unit}` for a " +
			"Quadlet unit.",
	},
}
