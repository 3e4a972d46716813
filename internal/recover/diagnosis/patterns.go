package diagnosis

import (
	"regexp"
	"sync"
)

// compile returns the patterns, compiled at their first use: most processes of the
// program never see a failure.
func compile(patterns ...string) func() []*regexp.Regexp {
	return sync.OnceValue(func() []*regexp.Regexp {
		compiled := make([]*regexp.Regexp, len(patterns))
		for i, p := range patterns {
			compiled[i] = regexp.MustCompile(p)
		}
		return compiled
	})
}

// pullOf matches what podman puts before the reason why it cannot pull.
const pullOf = `^(?:initializing source|parsing image name|choosing an image from manifest list|` +
	`copying system image from manifest list|reading manifest \S+ in|unable to copy from source)` +
	` "?(?:docker://)?(?P<image>[^\s"]+?)"?: `

// helpers are programs of the host, which no container is asked to run.
const helpers = `slirp4netns|pasta|passt|netavark|aardvark-dns|conmon|crun|runc|fuse-overlayfs|` +
	`iptables|nft|catatonit|newuidmap|newgidmap`

// managerPatterns match what systemd says of a unit, by the cause's ID.
var managerPatterns = map[string]func() []*regexp.Regexp{
	"out-of-memory": compile(
		`A process of this unit has been killed by the OOM killer`,
		`Failed with result 'oom-kill'`,
	),
}

// enginePatterns match what podman and its helpers say, without its wrappings (see
// Line.words), by the cause's ID. testdata has what podman 4.3.1 and 5.4.2 wrote
// on Debian 12 and 13, and what podman 5.8 and 6 write by their sources.
var enginePatterns = map[string]func() []*regexp.Regexp{
	"keys-used-up": compile(
		`(?i)(?:create keyring|session key(?:ring)?)\b.*: disk quota exceeded`,
	),
	"no-space": compile(
		`(?:^|: )(?:\w+ )?(?P<path>/[^\s:"]+): (?i:no space left on device|disk quota exceeded)`,
		`(?i)(?:^|: )(?:no space left on device|disk quota exceeded|database or disk is full)`,
	),
	"read-only": compile(
		"(?:^|[: ])[\"'`]?(?P<path>/[^\\s:\"'`]+)[\"'`]?: (?i:read-only file system)",
		`(?i)(?:^|: )read-only file system`,
		`(?i)attempt to write a readonly database`,
	),
	"image-damaged": compile(
		`^readlink (?P<path>/\S*/overlay(?:/\S*)?): (?:invalid argument|no such file or directory)`,
		`(?i)^(?:creating read-write layer with ID "[0-9a-f]+": )?(?:l?stat|faccessat|open|readlink) `+
			`(?P<path>/\S*/overlay(?:-layers|-images|-containers)?/\S+): no such file or directory`,
		`^creating overlay mount to (?P<path>/\S+?),? .*(?:no such file or directory|invalid argument|stale `+
			`(?:NFS )?file handle)`,
		`^(?:recreating|correcting|\* correcting) .*link`,
		`(?:^|: )layer not known(?:$|:)`,
		`(?i)^top layer [0-9a-f]+ of image (?P<image>[0-9a-f]+) not found in layer tree`,
		`(?P<image>\S+) exists in local storage but may be corrupted`,
		`(?i)(?:layer|image)s? .*(?:is|are|may be|appears to be) (?:corrupt|damaged|incomplete)`,
		`(?i)^(?:locating|reading|loading) .*(?:layers|images|containers)\.json`,
		`(?i)(?:^|: )(?:structure needs cleaning|input/output error|bad message)`,
	),
	"database-damaged": compile(
		`(?i)(?:^|: )database disk image is malformed`,
		`(?i)(?:^|: )file is not a database`,
	),
	"user-namespace": compile(
		`(?i)no subuid ranges found|no subgid ranges found|cannot find UID/GID for user`,
		`(?i)insufficient UIDs or GIDs available in (?:the )?user namespace`,
		`not enough unused IDs in user namespace`,
		`(?i)cannot set up namespace using`,
		`(?i)newuidmap|newgidmap`,
		`(?i)user namespaces are not enabled`,
		`(?i)cannot clone: (?:operation not permitted|invalid argument)`,
		`/proc/[0-9]+/[ug]id_map`,
		`(?i)set propagation .*operation not permitted`,
		`(?i)not enough IDs available|requested .* mapping .*not (?:available|possible)`,
	),
	"pause-process": compile(
		`invalid internal status`,
		`cannot re-exec process(?: to join the existing user namespace)?$`,
		`(?i)(?:could not|cannot|error) (?:read|parse|open|delete)\w* pause (?:process )?pid file`,
		`(?i)^(?:error )?joining? (?:the )?existing user namespace`,
		`(?i)^cannot (?:open|join|set) (?:/proc/[0-9]+/ns/(?:user|mnt)|(?:the )?(?:user|mount) namespace)`,
	),
	"secret-missing": compile(
		`^(?:.*: )?no secret with name or id "(?P<secret>[^"]+)"`,
		`(?:^|: )no such secret$`,
	),
	"name-in-use-storage": compile(
		`^the container name "(?P<name>[^"]+)" is already in use by "?(?P<id>[0-9a-f]{12})[0-9a-f]*.* by an ` +
			`external entity`,
	),
	"name-in-use": compile(
		`^the container name "(?P<name>[^"]+)" is already in use by "?(?P<id>[0-9a-f]{12})`,
		`^name "?(?P<name>[^\s"]+)"? is in use`,
		`(?:^|: )that name is already in use`,
	),
	"container-missing": compile(
		`^no container with (?:name or ID|ID or name) "(?P<name>[^"]+)" found`,
		`(?:^|: )no such container$`,
	),
	"network-missing": compile(
		`unable to find network (?:with name or ID|configuration for) "?(?P<network>[^\s":]+)"?: network not `+
			`found`,
		`(?:^|: )network (?P<network>[^\s:"]+) not found`,
		`(?:^|: )network not found$`,
		`could not find network "(?P<network>[^"]+)"`,
	),
	"address-unavailable": compile(
		`listen (?:tcp|udp|sctp)[46]? (?P<address>\S+): bind: cannot assign requested address`,
		`requested (?:static ip|ip address) (?P<address>\S+) (?:not in any subnet|is already allocated)`,
		`(?i)failed to bind.*(?P<port>[0-9]+) \(Cannot assign requested address\) for option '-[tu] `+
			`(?P<address>[^/']+)/`,
		`failed to find free IP in range: (?P<address>\S+ - \S+)`,
		`(?i)(?:^|: )cannot assign requested address`,
	),
	"port-taken": compile(
		`(?:listen|bind) (?:tcp|udp|sctp)[46]? \S*?:(?P<port>[0-9]+): bind: address already in use`,
		`(?i)failed to bind (?:host )?port (?P<port>[0-9]+) \(Address already in use\)`,
		`(?i)failed to bind.*for '?-[tu] (?:[^/']+/)?(?P<port>[0-9]+)`,
		`(?i)add_hostfwd: slirp_add_hostfwd failed`,
		`(?i)(?:^|: )address already in use`,
	),
	"port-privileged": compile(
		`rootlessport cannot expose privileged port (?P<port>[0-9]+)`,
		`(?i)(?:failed to bind|couldn't listen on|cannot listen on).* (?:port )?(?P<port>[0-9]+)[^:]*[:(] `+
			`?permission denied`,
		`listen (?:tcp|udp|sctp)[46]? \S*?:(?P<port>[0-9]+): bind: permission denied`,
	),
	"device-missing": compile(
		"(?i)(?:^|: )(?:cannot |l?)stat [\"'`]?(?P<device>/dev/[^\\s:\"'`]+)[\"'`]?: no such (?:file|device)",
		`(?:gathering|getting) device information (?:for|from)[^:]* "?(?P<device>/dev/[^\s":]+)"?: `,
		`unresolvable CDI devices (?P<device>\S+)`,
		"(?i)[\"'`]?(?P<device>/dev/[^\\s:\"'`]+)[\"'`]?: no such (?:file or directory|device)",
	),
	"bind-source-missing": compile(
		"(?i)^(?:statfs|l?stat|cannot stat) [\"'`]?(?P<path>/[^:\"'`]+)[\"'`]?: no such file or directory",
		`(?i)error (?:mounting|stating) "(?P<path>/[^"]+)".*no such file or directory`,
		`(?i)bind source path (?P<path>/\S+) .*not exist`,
	),
	"image-missing": compile(
		`^(?P<image>[^\s"']+): image not known`,
		`^short-name "(?P<image>[^"]+)" did not resolve`,
		`^short-name resolution enforced .*"?(?P<image>[^\s"]+)"?`,
		`^(?:unable to find|no such image|locating image|image) "?(?P`+
			`<image>[^\s":]+(?::[\w.-]+)?)"?.*(?:image not known|not found)`,
		`(?:^|: )image not known$`,
	),
	"pull-limited": compile(
		pullOf + `.*(?i:toomanyrequests|too many requests|429)`,
	),
	"pull-denied": compile(
		pullOf+`.*(?i:: denied|unauthorized|authentication required|access to the resource is denied|403 Forbidden)`,
		`(?i)unable to retrieve auth token: invalid username/password`,
	),
	"pull-not-found": compile(
		pullOf + `.*(?i:manifest unknown|name unknown|not found|404)`,
	),
	"pull-dns": compile(
		`dial (?:tcp|udp)[46]?: lookup (?P<host>\S+?)(?: on \S+)?: `,
	),
	"pull-tls": compile(
		pullOf+`.*(?:x509: |tls: |server gave HTTP response to HTTPS client)`,
		`^(?:tls|x509): `,
	),
	"pull-failed": compile(
		pullOf+`.+`,
		`^(?:copying system image from manifest list|pinging container registry|reading (?:blob|manifest)|`+
			`fetching target platform image)`,
		`^unable to (?:pull|copy from source docker://) ?(?P<image>[^`+
			`\s:]+(?::[0-9]+)?(?:/[^\s:]+)?(?::[\w.-]+)?)?`,
		`^pull policy .*`,
		`(?i)^dial tcp \S+: (?:connect: )?(?:connection refused|network is unreachable|no route to host|i/o `+
			`timeout)`,
	),
	"exec-format": compile(
		"(?i)(?:exec |exec container process )?[\"'`]?(?P<path>/[^\\s:\"'`]+)[\"'`]?: exec format error",
		`(?i)(?:^|: )exec format error`,
	),
	"helper-missing": compile(
		`exec: "(?P<program>`+helpers+`)": executable file not found in \$PATH`,
		`could not find (?:a working )?(?P<program>`+helpers+`)(?: binary)?(?:,|:| in |$)`,
		`default OCI runtime "(?P<program>[^"]+)" not found`,
		`^netavark: No such file or directory \(os error 2\)`,
	),
	"command-missing": compile(
		"(?i)executable file [\"'`]?(?P<path>[^\\s:\"'`]+)[\"'`]? not found",
		`(?i)(?:^|: )exec: "(?P<path>[^"]+)": (?:executable file not found|stat |no such file)`,
		`(?i)unable to start container process: .*"(?P<path>[^"]+)".*no such file or directory`,
		`workdir "(?P<path>[^"]+)" does not exist on container`,
	),
	"user-missing": compile(
		`unable to find (?:user|group) (?P<user>[^\s:]+): no matching entries in (?:passwd|group) file`,
	),
	"boot-id": compile(
		`current system boot ID differs from cached boot ID`,
	),
	"permission": compile(
		"the path [\"'`](?P<path>/[^\"'`]+)[\"'`] exists but it is not executable",
		"(?i)(?:^|[: ])[\"'`]?(?P<path>/[^\\s:\"'`]+)[\"'`]?: (?:permission denied|operation not permitted)",
		`(?i)(?:^|: )(?:OCI )?(?:permission denied|operation not permitted)`,
	),
	"locks-exhausted": compile(
		`allocation failed; exceeded num_locks`,
	),
	"outdated-container": compile(
		`slirp4netns support has been removed`,
		`BoltDB (?:database backend|support) was removed`,
		`unsupported network backend "cni"`,
	),
	"invalid-option": compile(
		`^(?:unknown flag|unknown shorthand flag|invalid argument|invalid option type|invalid reference `+
			`format|parsing reference|invalid config provided)`,
		`: invalid reference format`,
	),
	"out-of-memory": compile(
		`OOM (?:event )?received$`,
		`(?i)container .*OOM[- ]killed`,
	),
}
