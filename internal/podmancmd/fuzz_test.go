package podmancmd

import (
	"path"
	"strings"
	"testing"
)

func FuzzCommandLine(f *testing.F) {
	for _, seed := range []string{
		"", "podman",
		"/usr/bin/podman run --name=db --label io.archy.tier=1 " +
			"-v /mnt/a:/b:Z --mount type=bind,source=/c,target=/d img",
		"podman --log-level debug container start -a db", "podman run --name", "podman run --name= x",
		"podman start ../x", "docker run --name a b", "/x/start-container /s /usr/bin/podman start a",
		"podman run --mount src= -v  --volume=rel:/x x",
		"podman --x=y run --name a --name b", "start-container ",
		"podman run -l io.archy.tier=100 --name a x", "podman - -- run",
	} {
		f.Add(strings.ReplaceAll(seed, " ", "\x00"))
	}
	f.Fuzz(func(t *testing.T, line string) {
		argv := strings.Split(line, "\x00")
		c, ok := Parse(argv)
		direct := path.Base(argv[0]) == "podman" ||
			path.Base(argv[0]) == Starter && len(argv) > 2 && path.Base(argv[2]) == "podman"
		if ok && (c.Name == "" || !direct || !strings.Contains(line, c.Name)) {
			t.Errorf("%q runs %q?", argv, c.Name)
		}
		for _, l := range c.Labels {
			if !strings.Contains(line, l) {
				t.Errorf("%q has the label %q?", argv, l)
			}
		}
		paths, _ := MountSources(argv)
		for _, p := range paths {
			if !path.IsAbs(p) || !strings.Contains(line, p) {
				t.Errorf("%q mounts %q?", argv, p)
			}
		}
	})
}
