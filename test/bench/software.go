package main

import (
	"context"
	"net"
	"strconv"
	"time"

	"archy-recovery/test/machine"
	"archy-recovery/test/software"
)

// The application of the row answers here.
const softwarePort = 8080

// answered is the name of the moment at which the application answers through nginx.
const answered = "answer"

// softwareRow compares how soon real software answers after a cut: an application that needs
// PostgreSQL, MariaDB and Redis, behind nginx. All contenders run the same images and commands,
// on volumes of their own, and share the machine's network, as Docker has no other there.
func softwareRow(b *bench, r *Result) {
	with := spec
	with.Images = software.Images
	m := installed(b, machine.WithSpec(with), machine.HostNetwork())
	r.With += tools(m) + m.MustRun("sh", "-c", "podman run --rm "+software.ServerImage+
		" dpkg-query --show --showformat=', ${Package} ${Version}' postgresql-17 mariadb-server-core redis-server nginx")
	stack := func(engine string) software.Stack {
		return software.Stack{Port: softwarePort, Host: true, Crashes: crashDir, Engine: engine}
	}
	client := software.NewClient(m.Dial, net.JoinHostPort("127.0.0.1", strconv.Itoa(softwarePort)), time.Second)
	create := func(s software.Stack) {
		for path, text := range s.Files() {
			m.WriteFile(path, text, 0o644, 0)
		}
		m.MustRun("sh", "-ec", s.Create())
		m.WaitFor(2*time.Minute, "an answer of the application", func() bool {
			return client.Answer(context.Background()) == nil
		})
		// What podman and Docker copied into the volumes is on the disk before the first cut.
		m.MustRun("sync")
	}
	forget(m)
	create(stack(""))
	saved := saveRunning(b.t, m, len(stack("").Names()), 0)
	create(stack("podman"))
	m.PullPlug()
	m.Boot()
	dockerImages(m, software.Images)
	create(stack("docker"))

	own := recoveryContender(b.t, m, nil, saved)
	own.check = func(time.Time) { wantRecovered(b.t, m, len(stack("").Names())) }
	contenders := []contender{own,
		{name: "podman-restart.service", start: []string{"systemctl", "start", "podman-restart.service"}, untilReady: true},
		{name: "Docker", start: []string{"systemctl", "start", "docker.service"}, untilReady: true}}
	for i := range contenders {
		contenders[i].ready = []string{answered}
		contenders[i].look = func(ready map[string]time.Duration, began time.Time) {
			if _, is := ready[answered]; !is && client.Answer(context.Background()) == nil {
				ready[answered] = time.Since(began)
			}
		}
	}
	trials := compare(b, m, contenders...)
	first := func(tr trial) time.Duration { return tr.ready[answered] }
	r.Title = "PostgreSQL, MariaDB, Redis, an application that needs all three, and nginx"
	later := figures(trials[0], func(tr trial) time.Duration { return max(0, first(tr)-tr.returned) })
	r.claimAtMost("an application that needs PostgreSQL, MariaDB and Redis: from READY to its first answer through nginx",
		"≤ 0.5 s", "s", later, 0.5)
	r.claimAtMost("the same, its crashes on the way", "0", "crashes", crashes(trials[0]), 0)
	for i, name := range []string{ours, "podman-restart.service", "Docker --restart=always"} {
		r.draw(name+", the application answers", "s", figures(trials[i], first))
		r.add(name+", crashes of the application on the way", "crashes", crashes(trials[i]))
	}
	r.add(ours+", READY", "s", figures(trials[0], returned))
	for i, name := range []string{"podman-restart.service", "Docker"} {
		r.add("the application answers, against "+name, "", ratios(figures(trials[0], first), figures(trials[i+1], first)))
	}
	r.note("The application exits if a database or Redis does not answer when it starts. With podman-restart.service " +
		"and Docker it is then started again by its restart policy. The bench asks the front page every 10 ms. " +
		"An answer needs the application and the three behind it.")
}

// dockerImages gives Docker podman's images.
func dockerImages(m *machine.Machine, images []machine.ImageSpec) {
	// Docker's data cannot be on the machine's overlay.
	m.WriteFile("/etc/docker/daemon.json", dockerConf, 0o644, 0)
	m.Systemctl("start", "docker.service")
	for _, image := range images {
		m.MustRun("sh", "-ec", `podman create --name image "$1" true; podman export image | `+
			`docker import ${2:+--change "$2"} - "$1"; podman rm image`, "sh", image.Name, image.Change())
	}
}
