// Package podmancmd reads podman's command lines, such as the ExecStart= of a unit
// that runs a container. It runs nothing, and it knows neither systemd nor recovery.
package podmancmd

import (
	"path"
	"slices"
	"strings"
)

// A Command is a command line that runs or starts one container.
type Command struct {
	// Name is the name of the container as it is written. It may break podman's rule for names.
	Name string
	// Labels are the KEY=VALUE arguments of --label and -l, in their order. Only podman-run(1) has
	// them. Arguments of the container's own command that look the same are among them.
	Labels []string
}

// Starter is the program that is put before a podman-start(1) in a generated unit, with the
// socket of podman's service (cmd/start-container).
const Starter = "start-container"

// Parse reads a command line of podman-run(1) or podman-start(1) that names a
// container. It reports false for every other command line. argv begins with the program,
// or with Starter and its socket.
func Parse(argv []string) (c Command, ok bool) {
	args := fromVerb(argv)
	if len(args) == 0 {
		return Command{}, false
	}
	switch args[0] {
	case "run":
		c = parseRun(args)
	case "start":
		// The name is the last argument. podman accepts several names, but a unit of a
		// container has one.
		c.Name = args[len(args)-1]
	}
	return c, c.Name != ""
}

// fromVerb returns podman's arguments from its verb on, none for another program.
func fromVerb(argv []string) []string {
	if len(argv) > 2 && path.Base(argv[0]) == Starter {
		argv = argv[2:]
	}
	if len(argv) < 3 || path.Base(argv[0]) != "podman" {
		return nil
	}
	args := withoutGlobalFlags(argv[1:])
	if len(args) > 0 && args[0] == "container" {
		args = args[1:]
	}
	return args
}

// parseRun reads the arguments of podman-run(1).
func parseRun(args []string) (c Command) {
	for i := range args {
		switch flag, value := flagAt(args, i); flag {
		case "--name":
			// The first one counts. The container's own command follows the image, and may
			// have a --name too.
			if c.Name == "" {
				c.Name = value
			}
		case "--label", "-l":
			c.Labels = append(c.Labels, value)
		}
	}
	return c
}

// MountSources lists what a command line mounts into its container (podman-run(1),
// --volume and --mount): absolute paths of the host, and the names of volumes.
func MountSources(argv []string) (paths, volumes []string) {
	add := func(source string, named bool) {
		switch {
		case path.IsAbs(source):
			paths = append(paths, source)
		case named && source != "" && !strings.Contains(source, "/"):
			volumes = append(volumes, source)
		}
	}
	for i := range argv {
		switch flag, value := flagAt(argv, i); flag {
		case "--volume", "-v":
			source, _, named := strings.Cut(value, ":") // without a colon it is a volume without a name
			add(source, named)
		case "--mount":
			for _, option := range strings.Split(value, ",") {
				if key, source, _ := strings.Cut(option, "="); key == "source" || key == "src" {
					add(source, true)
				}
			}
		}
	}
	return paths, volumes
}

// Needs lists the containers without which podman does not start the one that a command
// line of podman-run(1) names: --requires, and namespaces that are another container's.
// existing: it is one of podman-start(1), which starts a container that exists, with what
// that needs.
func Needs(argv []string) (needs []string, existing bool) {
	if !slices.Contains(argv, "run") {
		return nil, true
	}
	for i := range argv {
		switch flag, value := flagAt(argv, i); flag {
		case "--requires":
			needs = append(needs, strings.Split(value, ",")...)
		case "--network", "--net", "--ipc", "--pid", "--uts", "--userns", "--cgroupns":
			if other, ok := strings.CutPrefix(value, "container:"); ok {
				needs = append(needs, other)
			}
		}
	}
	return needs, false
}

// flagAt splits argument i into flag and value. A value that is not joined with "=" is
// the next argument.
func flagAt(args []string, i int) (flag, value string) {
	flag, value, joined := strings.Cut(args[i], "=")
	if !joined && i+1 < len(args) {
		value = args[i+1]
	}
	return flag, value
}

// withoutGlobalFlags drops the flags before podman's verb, which come from Quadlet's
// GlobalArgs=. Which of them take a value is unknown here. So the word after a flag
// without "=" counts as its value, unless it is a verb that matters.
func withoutGlobalFlags(args []string) []string {
	verbs := []string{"container", "run", "start"}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		joined := strings.Contains(args[0], "=")
		args = args[1:]
		if !joined && len(args) > 0 && !strings.HasPrefix(args[0], "-") && !slices.Contains(verbs, args[0]) {
			args = args[1:]
		}
	}
	return args
}

// takesValue are the flags of podman-run(1) that units mostly have and that take a value. It is
// the next argument if it is not joined with "=".
var takesValue = []string{
	"--name", "--cidfile", "--pod-id-file", "--conmon-pidfile", "--cgroups", "--sdnotify", "--label", "-l", "--env", "-e",
	"--volume", "-v", "--mount", "--publish", "-p", "--network", "--net", "--pod", "--log-driver", "--user", "-u",
	"--userns", "--hostname", "-h", "--restart", "--entrypoint",
}

// Discards reports whether a command line of podman-run(1) makes its container for one run: podman
// removes it at its end (--rm), or before the next one is made (--replace). What cannot be told for
// sure is false. A flag behind the image belongs to the container's own command.
func Discards(argv []string) bool {
	args := fromVerb(argv)
	if len(args) == 0 || args[0] != "run" {
		return false
	}
	set := map[string]bool{}
	for i := 1; i < len(args) && strings.HasPrefix(args[i], "-") && args[i] != "--"; i++ {
		flag, value, joined := strings.Cut(args[i], "=")
		switch {
		case flag == "--rm" || flag == "--replace":
			set[flag] = !joined || value == "true"
		case !joined && slices.Contains(takesValue, flag):
			i++
		}
	}
	return set["--rm"] || set["--replace"]
}
