package software

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"archy-recovery/internal/recover"
)

// A Stack is the software of one user on a machine, as its operator writes it down: tiers
// by label, health checks, volumes, and Quadlet units beside plain containers.
type Stack struct {
	UID  int // of the owner of the containers
	Port int // on which nginx answers
	// Host has the containers share the network of the machine. Otherwise they have a
	// network of their own, in which each finds the others by name, and nginx's port is published.
	Host bool
	// Crashes is a directory of the machine in which the application counts its crashes; "" for none.
	Crashes string
	// Engine is podman or docker if that alone is to start the stack at boot: none of its
	// containers has a unit, and all have --restart=always. "" is for archy-recovery.
	Engine string
}

// Names are those of the stack's containers, sorted.
func (s Stack) Names() (names []string) {
	for _, p := range s.programs() {
		names = append(names, p.name)
	}
	slices.Sort(names)
	return names
}

// A program is one container of the stack.
type program struct {
	name    string
	image   string
	user    string
	tier    int
	volume  string // the directory of its volume
	health  string // the command of its health check
	env     []string
	mounts  []string
	publish bool
	command string
	plain   bool // it has no unit
}

func (s Stack) programs() []program {
	at := func(name, port string) string {
		if s.Host {
			return "127.0.0.1:" + port
		}
		return name + ":" + port
	}
	app := program{name: "app", image: AppImage, tier: 1, plain: true, health: `["/app","-check"]`, env: []string{
		"LISTEN=:8079", "REDIS=" + at("redis", "6379"),
		"POSTGRES=postgres://postgres@" + at("postgres", "5432") + "/postgres?sslmode=disable",
		"MARIADB=app:app@tcp(" + at("mariadb", "3306") + ")/app"}}
	if s.Crashes != "" {
		app.env = append(app.env, "CRASHES=/crashes/log")
		app.mounts = append(app.mounts, s.Crashes+":/crashes")
	}
	all := []program{
		{name: "postgres", image: ServerImage, user: "postgres", volume: "/var/lib/postgresql/data",
			health:  "/usr/lib/postgresql/17/bin/pg_isready --quiet --host=127.0.0.1",
			command: "/usr/lib/postgresql/17/bin/postgres -D /var/lib/postgresql/data"},
		{name: "mariadb", image: ServerImage, user: "mysql", volume: "/var/lib/mysql", plain: true,
			health:  "mariadb-admin ping --silent --host=127.0.0.1 --user=app --password=app",
			command: "mariadbd --defaults-file=/etc/mysql/software.cnf"},
		{name: "redis", image: ServerImage, user: "redis", volume: "/var/lib/redis",
			health:  "redis-cli ping",
			command: "redis-server /etc/redis/software.conf"},
		app,
		{name: "nginx", image: ServerImage, tier: 2, publish: true, command: "nginx",
			mounts: []string{s.nginxFile() + ":/etc/nginx/nginx.conf:ro"}},
	}
	for i := range all {
		if s.Engine != "" { // beside a stack of another engine
			all[i].name, all[i].plain = s.Engine+"-"+all[i].name, true
		}
	}
	return all
}

// nginxFile is the configuration of nginx, on the machine.
func (s Stack) nginxFile() string { return fmt.Sprintf("/etc/software/nginx-%d.conf", s.Port) }

// nginxConf passes all requests on to the application.
func (s Stack) nginxConf() string {
	listen, app := "80", "app:8079"
	if s.Host {
		listen, app = fmt.Sprint(s.Port), "127.0.0.1:8079"
	}
	return "daemon off;\nuser www-data;\nworker_processes 1;\npid /tmp/nginx.pid;\nerror_log stderr;\n" +
		"events {}\nhttp {\n\taccess_log off;\n\tserver {\n\t\tlisten " + listen + ";\n" +
		"\t\tlocation / { proxy_pass http://" + app + "; proxy_read_timeout 600s; }\n\t}\n}\n"
}

// Files are the files of the stack on a machine, by path: its units, which the owner of the
// stack owns, and the configuration of nginx.
func (s Stack) Files() map[string]string {
	dir := "/etc/containers/systemd/"
	if s.UID != 0 {
		dir = "/home/archy/.config/containers/systemd/"
	}
	files := map[string]string{s.nginxFile(): s.nginxConf()}
	if !s.Host {
		files[dir+"shop.network"] = "[Network]\n"
	}
	for _, p := range s.programs() {
		if !p.plain {
			files[dir+p.name+".container"] = s.quadlet(p)
		}
	}
	return files
}

// A setting of a program: the key of a Quadlet file, the option of podman-run(1), and the value.
type setting struct{ key, option, value string }

// settings are what a Quadlet file and a command line say alike.
func (s Stack) settings(p program) (all []setting) {
	add := func(key, option, value string) {
		if value != "" {
			all = append(all, setting{key, option, value})
		}
	}
	add("Label", "--label", fmt.Sprintf("%s=%d", recover.TierLabel, p.tier))
	add("User", "--user", p.user)
	if s.Engine != "docker" { // that would run it by a shell, which the application's image does not have
		add("HealthCmd", "--health-cmd", p.health)
	}
	if p.volume != "" {
		add("Volume", "--volume", p.name+":"+p.volume)
	}
	for _, mount := range p.mounts {
		add("Volume", "--volume", mount)
	}
	for _, env := range p.env {
		add("Environment", "--env", env)
	}
	if s.Host {
		add("Network", "--network", "host")
	} else if p.publish {
		add("PublishPort", "--publish", fmt.Sprintf("%d:80", s.Port))
	}
	return all
}

// quadlet is the program's Quadlet file.
func (s Stack) quadlet(p program) string {
	lines := []string{"[Container]", "Image=" + p.image, "ContainerName=" + p.name, "Exec=" + p.command}
	for _, set := range s.settings(p) {
		lines = append(lines, set.key+"="+set.value)
	}
	if !s.Host {
		lines = append(lines, "Network=shop.network")
	}
	return strings.Join(lines, "\n") + "\n"
}

// run is the command that runs the program as a container without a unit.
func (s Stack) run(p program) string {
	args := []string{cmp.Or(s.Engine, "podman"), "run", "--detach", "--name", p.name}
	for _, set := range s.settings(p) {
		args = append(args, set.option, "'"+set.value+"'")
	}
	if !s.Host {
		args = append(args, "--network", "systemd-shop") // the name that Quadlet gives shop.network
	}
	if s.Engine != "" {
		args = append(args, "--restart", "always")
	}
	return strings.Join(append(args, p.image, p.command), " ")
}

// Create is the shell script that runs all containers for the first time, as their owner.
func (s Stack) Create() string {
	ctl := "systemctl"
	if s.UID != 0 {
		ctl += " --user"
	}
	script := ""
	if s.Engine == "" {
		script = ctl + " daemon-reload\n"
	}
	tier := 0
	for i, p := range s.programs() {
		if s.Engine == "" && p.tier > tier { // it exits if those below are not ready
			for _, below := range s.programs()[:i] {
				script += "until podman healthcheck run " + below.name + " >/dev/null; do sleep 0.3; done\n"
			}
			tier = p.tier
		}
		if p.plain {
			script += s.run(p) + "\n"
		} else {
			script += ctl + " start " + p.name + "\n"
		}
	}
	return script
}
