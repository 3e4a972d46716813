package podmancmd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want Command // Name empty: Parse reports false
	}{
		"Quadlet": {
			"/usr/bin/podman run --name systemd-q1 --cidfile=/run/q1.cid --replace --rm --cgroups=split" +
				" --sdnotify=conmon -d --label io.archy.tier=1 localhost/app:1",
			Command{"systemd-q1", []string{"io.archy.tier=1"}}},
		"Quadlet with GlobalArgs=": {
			"/usr/bin/podman --log-level=debug --cgroup-manager systemd run --name q2 --replace -d localhost/app:1",
			Command{Name: "q2"}},
		"Quadlet with ContainersConfModule=": {
			"/usr/bin/podman --module=/etc/mine.conf run --name q3 -d localhost/app:1", Command{Name: "q3"}},
		"generate systemd": {"/usr/bin/podman start p1", Command{Name: "p1"}},
		"generate systemd --new": {
			"/usr/bin/podman run --cidfile=/run/c.ctr-id --cgroups=no-conmon --rm --sdnotify=conmon" +
				" --replace -d --name=n1 localhost/app:1",
			Command{Name: "n1"}},
		"started through podman's service": {
			"/usr/lib/archy-recovery/start-container /run/podman/podman.sock /usr/bin/podman start p2", Command{Name: "p2"}},
		"Starter alone":               {"/usr/lib/archy-recovery/start-container podman start", Command{}},
		"podman in another directory": {"/opt/bin/podman run --name n3 img", Command{Name: "n3"}},
		"podman container run":        {"podman container run --name n4 img", Command{Name: "n4"}},
		"start with flags":            {"podman start --attach n5", Command{Name: "n5"}},
		"labels in every form": {
			"podman run --name n6 -l a=1 --label=b=2 --label c=3 img", Command{"n6", []string{"a=1", "b=2", "c=3"}}},
		"own command with the same flags": {
			"podman run --name n9 img serve --name other -l a=1", Command{"n9", []string{"a=1"}}},
		"invalid name":                {"podman run --name ../x img", Command{Name: "../x"}},
		"run without a name":          {"podman run --rm img", Command{}},
		"name without a value":        {"podman run img --name", Command{}},
		"another verb":                {"podman pull --name x", Command{}},
		"another verb with run in it": {"podman --debug exec run start", Command{}},
		"program only":                {"podman", Command{}},
		"flags only":                  {"podman --debug --now", Command{}},
		"container without a verb":    {"podman --debug container", Command{}},
		"another program":             {"/usr/bin/nginx run --name x", Command{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Parse(strings.Fields(c.line))
			if ok != (c.want.Name != "") {
				t.Fatalf("Parse reports %v, %+v", ok, got)
			}
			if diff := cmp.Diff(c.want, got); ok && diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNeeds(t *testing.T) {
	for line, c := range map[string]struct {
		want     []string
		existing bool
	}{
		"podman start app":            {nil, true},
		"podman run --name app img":   {nil, false},
		"podman run --requires a img": {[]string{"a"}, false},
		"podman run --requires=a,b --network container:c --name app img": {[]string{"a", "b", "c"}, false},
		"podman run --net=container:a --ipc container:b --pid=container:c --userns container:d img": {
			[]string{"a", "b", "c", "d"}, false},
		"podman run --network host --uts private img": {nil, false},
	} {
		needs, existing := Needs(strings.Fields(line))
		if diff := cmp.Diff(c.want, needs); diff != "" || existing != c.existing {
			t.Errorf("%s: existing %v (-want +got):\n%s", line, existing, diff)
		}
	}
}

func TestMountSources(t *testing.T) {
	got, volumes := MountSources(strings.Fields("podman" +
		" run --name a -v /mnt/a:/a:ro --volume=/mnt/b:/b --volume named:/c" +
		" --mount type=bind,src=/mnt/d,dst=/d" +
		" --mount type=volume,source=other,dst=/e -v anonymous -v ./odd:/f img"))
	if diff := cmp.Diff([]string{"/mnt/a", "/mnt/b", "/mnt/d"}, got); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"named", "other"}, volumes); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
}

// Only what surely makes its container for one run counts: a repair removes that container.
func TestDiscards(t *testing.T) {
	for line, want := range map[string]bool{
		"podman run --name q1 --cidfile=/run/q1.cid --replace --rm --cgroups=split -d localhost/app:1":     true,
		"podman run --cidfile=/run/c.ctr-id --cgroups=no-conmon --rm --replace -d --name=n1 localhost/a:1": true,
		"podman --log-level debug container run --name n2 --label a=1 --rm img":                            true,
		"podman run --replace --name n3 img":                                                               true,
		"podman run --rm=true --name n4 img":                                                               true,
		"podman run --name n5 img":                                                                         false,
		// of its own command
		"podman run -d --name n6 img --rm":                               false,
		"podman run --name n7 --unknown img --rm":                        false,
		"podman run --name n8 -- img --rm":                               false,
		"podman run --rm=false --name n9 img":                            false,
		"podman run --rm --rm=false --name n10 img":                      false,
		"podman start --rm n11":                                          false,
		"podman --root run start run --rm":                               false,
		"/usr/lib/archy-recovery/start-container /s podman start --rm x": false,
		"sh -c run --rm":                                                 false,
	} {
		if got := Discards(strings.Fields(line)); got != want {
			t.Errorf("%s: %v, want %v", line, got, want)
		}
	}
}
