package diagnosis

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Line is one journal entry that was written for an attempt. Its fields but
// the message are what journald itself recorded of the sender
// (systemd.journal-fields(7)); CONTAINER_ID_FULL= and PODMAN_EVENT= count where
// conmon and podman are the senders.
type Line struct {
	// Time is when journald received it.
	Time time.Time
	// Comm is _COMM=, the sender's name; Exe is _EXE=, the file that it runs.
	Comm, Exe string
	// Transport is _TRANSPORT=: "stdout", "journal" or "syslog".
	Transport string
	// Cgroup is _SYSTEMD_CGROUP=.
	Cgroup string
	// ContainerID is CONTAINER_ID_FULL=: conmon sets it in what the container
	// prints, and in nothing else.
	ContainerID string
	// Container is the name of the container that conmon or podman speak of
	// (CONTAINER_NAME=, PODMAN_NAME=), "" if they name none.
	Container string
	// Event is PODMAN_EVENT=: podman tells of an event, such as "start".
	Event string
	// Message is MESSAGE=, as it was written.
	Message string
}

// Source is where a line's words come from.
type Source int

// Sources.
const (
	Other   Source = iota // neither podman nor systemd nor the container: not believed
	Program               // the container's own output: quoted, never believed
	Engine                // podman, conmon, the OCI runtime, and the network's helpers
	Manager               // systemd, of the unit
)

// engines are the programs that podman runs to start a container, and podman,
// by _COMM=, which the kernel cuts after 15 bytes.
var engines = []string{"podman", "conmon", "crun", "runc", "youki", "netavark", "aardvark-dns",
	"pasta", "pasta.avx2", "passt", "slirp4netns", "rootlessport", "catatonit", "newuidmap", "newgidmap",
	"fuse-overlayfs"}

// Source tells which program wrote a line. A container may give itself any name (prctl(2),
// PR_SET_NAME), and its output may go to the journal without podman (LogDriver=
// passthrough), but it does not choose its cgroup.
func (l Line) Source() Source {
	switch {
	case l.ContainerID != "" || inContainer(l.Cgroup):
		return Program
	case l.Comm == "systemd":
		return Manager
	case slices.Contains(engines, l.Comm), l.isPodman(), l.isUnseen():
		return Engine
	}
	return Other
}

// isUnseen: where the sender of a line has ended before journald looks at it, as a
// podman that fails at once, journald does not know its name nor its cgroup. The line is the
// attempt's all the same, and podman's unless the container has started.
func (l Line) isUnseen() bool { return l.Comm == "" && l.Cgroup == "" && l.Transport == "stdout" }

// isPodman: rootless podman starts itself again through /proc/self/exe when it
// makes its user namespace, which is what the first podman after a boot does.
// The kernel names that process "exe".
func (l Line) isPodman() bool {
	return l.Comm == "podman" || l.Comm == "exe" && (l.Exe == "" || path.Base(l.Exe) == "podman")
}

// payload matches the cgroup that podman gives a container's processes, in a
// unit of Quadlet's (--cgroups=split) and otherwise.
var payload = regexp.MustCompile(`/libpod-(?:payload-)?[0-9a-f]{64}(?:\.scope)?(?:/|$)`)

func inContainer(cgroup string) bool { return payload.MatchString(cgroup) }

// isOf reports whether a line may be on the container of that name: podman start also
// starts what a container depends on.
func (l Line) isOf(container string) bool {
	return container == "" || l.Container == "" || l.Container == container
}

// started reports whether podman says that the program of that container runs.
func (l Line) started(container string) bool {
	return l.Event == "start" && l.Source() == Engine && l.isOf(container)
}

// containerID is a line in which podman prints the ID of the container that it
// made.
var containerID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// noise is what podman and its helpers say of every start, or beside the reason.
var noise = regexp.MustCompile(`^conmon \S+ <n?warn>: Failed to (?:add inotify watch|open cgroups file)|` +
	`^Pulling image .* inside systemd: |` +
	// podman rm in ExecStopPost= of a generated unit, when no container was made (podman 4.3).
	`^Error: reading CIDFile: `)

func (l Line) isNoise() bool {
	return containerID.MatchString(l.Message) || noise.MatchString(l.Message)
}

// Text is the message for a person: without control characters, valid UTF-8 and
// bounded.
func (l Line) Text() string { return Clean(l.Message) }

var (
	// logrus is how podman logs while it works.
	logrus = regexp.MustCompile(`^time="[^"]*" level=\w+ ` +
		`msg=("(?:[^"\\]|\\.)*"|\S+)(?: error=("(?:[^"\\]|\\.)*"|\S+))?`)
	// wrapping is what podman and the OCI runtimes put before what they have to say.
	wrapping = regexp.MustCompile(`^(?:Error: |unable to start container "?[^":]*"?: |starting container [0-9a-f]+: ` +
		`|unable to start container process: |preparing container [0-9a-f]+ for attach: |creating container storage: ` +
		`|creating container: |crun: |runc: |(?:OCI )?runtime error: |(?:runc|crun) create failed: ` +
		`|container_linux\.go:\d+: ` +
		`|starting container process caused: |error during container init: |Failed, retrying in \S+ \.\.\. \(\d+/\d+\)\. ` +
		`|conmon \S+ <\w+>: |runtime stderr: |mounting storage for container [0-9a-f]+: )+`)
)

// words is what a line says, without its wrappings.
func (l Line) words() string {
	text := oneLine(l.Message)
	if m := logrus.FindStringSubmatch(text); m != nil {
		text = unquoted(m[1])
		if m[2] != "" {
			text += ": " + unquoted(m[2])
		}
	}
	return strings.TrimSpace(text[len(wrapping.FindString(text)):])
}

func unquoted(text string) string {
	if plain, err := strconv.Unquote(text); err == nil {
		return plain
	}
	return text
}
