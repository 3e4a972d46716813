package operator

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"archy-recovery/test/machine"
)

// gate lets a container start only while there is a file.
const gate = "[Service]\nExecStartPre=/bin/sh -c 'until test -e /var/tmp/go; do sleep 0.1; done'"

const saved = "/var/lib/archy-recovery/1000/running-containers.json"

// The page in Cockpit, in a browser: what somebody sees and can do after the power comes back.
func TestCockpit(t *testing.T) {
	t.Parallel()
	// Short waits: the culprit has to be found first, and a person waits for none of that here.
	n := newNode(t, "RetryPauseSec=1\nSoakSec=4\nProbationSec=2\nLogLevel=debug\n")
	address := n.forward(9090)
	n.addUsers()
	n.quadlet(machine.User, "db", 0, gate)
	n.quadlet(machine.User, "web", 1, "")
	n.quadlet(machine.User, "shop", 2, "Notify=true\nExec=-ready-after 500ms")
	n.quadlet(machine.User, "evil", 3, n.trap())
	n.WriteFile("/var/tmp/go", "", 0o644, 0)
	n.user.Systemctl("start", "evil")
	n.MustRun("systemctl", "enable", "--now", instance)
	n.waitSaved(saved, "evil")
	n.crashUntilQuarantined()
	n.user.Systemctl("start", "db", "web", "shop")
	forget := n.forgotten("till")
	n.user.Systemctl("start", "till")
	n.waitSaved(saved, "db", "web", "shop", "evil", "till")

	// The next cut, with a container that cannot start any more, and whose output has markup, and one
	// that only podman's storage still knows. The database is slow, so there is time to log in.
	forget()
	n.quadlet(machine.User, "shop", 2, "Exec=-state /<img/src=hostile>")
	n.Remove("/var/tmp/go")
	n.PullPlug()
	n.BootNoWait()
	v := visit(t, address, "archy", true)
	t.Run("live", func(t *testing.T) { v.with(t).watchRecovery(n.with(t)) })
	t.Run("explains", func(t *testing.T) { v.with(t).readReasons() })
	t.Run("acts", func(t *testing.T) { v.with(t).act(n.with(t)) })
	t.Run("repairs", func(t *testing.T) { v.with(t).repair(n.with(t)) })
	t.Run("keyboard", func(t *testing.T) { v.with(t).useKeyboard(n.with(t)) })
	t.Run("history", func(t *testing.T) { v.with(t).lookBack() })
	t.Run("enables", func(t *testing.T) { v.with(t).enableSystem(n.with(t)) })
	t.Run("reloads", func(t *testing.T) { v.with(t).reloadOften(n.with(t)) })
	t.Run("stopped daemon stays stopped", func(t *testing.T) { v.with(t).seeStop(n.with(t)) })
	v.wantQuietConsole()

	t.Run("reader is refused", func(t *testing.T) {
		r := visit(t, address, "reader", false)
		r.beRefused()
		r.wantQuietConsole()
	})
	t.Run("outsider sees nothing", func(t *testing.T) {
		o := visit(t, address, "outsider", false)
		o.press(`nav button[data-name="system"]`)
		o.awaitText("Only root and members of the group archy-recovery may see this.")
		o.shoot("outsider")
		o.wantQuietConsole()
	})
}

// with returns the same browser for a sub-test.
func (v *visitor) with(t *testing.T) *visitor {
	return &visitor{t: t, ctx: v.ctx, log: v.log}
}

// addUsers makes archy an administrator, adds one user with read access and one without access.
func (n *node) addUsers() {
	n.t.Helper()
	n.MustRun("adduser", "archy", "sudo")
	n.MustRun("useradd", "--create-home", "--groups", "archy-recovery", "reader")
	n.MustRun("useradd", "--create-home", "outsider")
	n.WriteFile("/run/passwords", fmt.Sprintf("archy:%[1]s\nreader:%[1]s\noutsider:%[1]s\n", password), 0o600, 0)
	n.MustRun("sh", "-c", "chpasswd </run/passwords")
}

// trap returns lines for a container whose start cuts the power while /var/tmp/armed exists.
func (n *node) trap() string {
	n.WriteFile("/etc/systemd/system/plug.path", "[Unit]\nDefaultDependencies=no\nAfter=user-runtime-dir@1000.service\n"+
		"[Path]\nPathExists=/run/user/1000/plug\n[Install]\nWantedBy=multi-user.target\n", 0o644, 0)
	n.WriteFile("/etc/systemd/system/plug.service", "[Service]\nExecStart=/usr/bin/systemctl poweroff -ff\n", 0o644, 0)
	n.MustRun("systemctl", "daemon-reload")
	n.MustRun("systemctl", "enable", "--now", "plug.path")
	return "[Service]\nExecStartPost=/bin/sh -c 'test ! -e /var/tmp/armed || touch %t/plug'"
}

// forgotten makes a unit that runs a container anew, but removes no old one before that. The returned
// function has podman's database forget the container, as an old database does after a crash.
func (n *node) forgotten(name string) func() {
	n.t.Helper()
	n.WriteFile("/home/archy/.config/systemd/user/"+name+".service", "[Service]\nType=notify\nNotifyAccess=all\n"+
		"Environment=PODMAN_SYSTEMD_UNIT=%n\nExecStart=/usr/bin/podman run --rm --sdnotify=conmon --detach --name "+
		name+" "+machine.Image+"\n", 0o644, machine.User)
	n.user.Reload()
	database := "/home/archy/.local/share/containers/storage/db.sql"
	n.user.MustRun("cp", database, database+".before")
	return func() { n.user.MustRun("mv", database+".before", database) }
}

// crashUntilQuarantined has the trap cut the power at each start of its container, until that is
// quarantined.
func (n *node) crashUntilQuarantined() {
	n.t.Helper()
	n.WriteFile("/var/tmp/armed", "", 0o644, 0)
	n.PullPlug()
	for range 5 {
		n.BootNoWait()
		n.WaitFor(2*time.Minute, "the quarantine or another crash", func() bool {
			list, _ := n.ReadFile("/var/lib/archy-recovery/1000/user-stopped.json")
			return !n.IsOn() || strings.Contains(list, "evil")
		})
		if n.IsOn() {
			n.waitRecovered()
			return
		}
		n.WaitOff()
	}
	n.t.Fatal("the container that crashes the host was not quarantined")
}

// watchRecovery sees a recovery begin, go on and end, without a reload.
func (v *visitor) watchRecovery(n *node) {
	v.awaitText("The power failed, or the host was reset.")
	v.awaitText("Recovery is under way")
	v.await("the picture", `d.querySelector(".picture img")?.naturalWidth`)
	v.await("a container that starts", `d.querySelector('tr[data-key="row-db"]')?.innerText.includes("starting")`)
	v.await("one whose turn has not come", `d.querySelector('tr[data-key="row-web"]')?.innerText.includes("queued")`)
	// The page begins anew when the shell grants administrative access, and has no picture for a moment.
	before := js[string](v, `d.querySelector(".picture img")?.src ?? ""`)
	v.shootAll("recovering")
	n.WriteFile("/var/tmp/go", "", 0o644, 0)
	v.await("the first tier up while others are to come",
		`d.querySelector('tr[data-key="row-db"]')?.innerText.includes("up") && d.body.innerText.includes("under way")`)
	v.await("another picture", fmt.Sprintf(`(d.querySelector(".picture img")?.src ?? "") !== %q`, before))
	v.awaitText("How recovery went")
	v.awaitText("2 of 5 containers run. Not back: shop, evil, till.")
	said := js[string](v, `d.querySelector('[role="status"]').textContent`)
	if !strings.Contains(said, "Not back: shop, evil, till.") {
		v.t.Errorf("a screen reader is told %q", said)
	}
	v.await("the picture of the end", `decodeURIComponent(d.querySelector(".picture img").src).includes("READY")`)
}

// readReasons finds what is missing and why, in podman's words, and what comes next.
func (v *visitor) readReasons() {
	v.awaitText("open /<img/src=hostile>/starts: no such file or directory") // what the program printed
	if js[bool](v, `d.querySelector("img[src=hostile]") !== null`) {
		v.t.Error("the output of a container is taken for markup")
	}
	for _, text := range []string{
		"shop was started, and fell", "It is tried again at",
		"evil is quarantined", "Its next try is at", "was being started at",
	} {
		v.awaitText(text)
	}
	v.press("details[data-key=evidence] summary")
	v.awaitText("The last entry of the journal is of")
	v.press(`details[data-key="output-shop"] summary`)
	v.await("a picture with the fall", `decodeURIComponent(d.querySelector(".picture img").src).includes("fell")`)
	v.await("the output", `d.querySelector('details[data-key="output-shop"]').open`)
	v.shootAll("recovered")
}

// act does what there is to do, and looks on the node whether it is done.
func (v *visitor) act(n *node) {
	list := func() string { return n.MustRun("archy-recovery", "--uid", "1000", "user-stopped", "list") }
	v.press(`tr[data-key="row-web"] button`)
	v.await("the question", `d.querySelector("dialog").open`)
	v.awaitText("Keep web stopped?")
	v.shoot("question")
	v.press(`dialog button[value=no]`)
	v.await("its end", `!d.querySelector("dialog").open`)
	if strings.Contains(list(), "web") {
		v.t.Error("a cancelled action was done")
	}
	v.press(`tr[data-key="row-web"] button`)
	v.press("#question-yes")
	v.await("the other button", `d.querySelector('tr[data-key="row-web"] button')?.innerText === "Allow"`)
	if !strings.Contains(list(), "web") {
		v.t.Errorf("the user-stopped list is %q", list())
	}
	v.press(`tr[data-key="row-web"] button`)
	v.await("the first button", `d.querySelector('tr[data-key="row-web"] button')?.innerText === "Keep stopped"`)
	if strings.Contains(list(), "web") {
		v.t.Errorf("the user-stopped list is still %q", list())
	}

	status := func() string { return n.MustRun("archy-recovery", "--uid", "1000", "status", "--json") }
	v.press("button[data-action=hold]")
	v.awaitText("Nothing is started by itself until")
	if !strings.Contains(status(), `"heldUntil"`) {
		v.t.Error("nothing is held")
	}
	v.press("button[data-action=unhold]")
	v.await("the end of the hold", `d.querySelector("button[data-action=hold]")`)
	v.press(`li[data-key="missing-shop"] button[data-action=retry]`)
	n.WaitFor(20*time.Second, "a try", func() bool { return strings.Contains(status(), `"tries": 1`) })
	v.await("its failure", `d.querySelector('li[data-key="missing-shop"]')?.innerText.includes("Tries until now: 1")`)

	v.press(`li[data-key="missing-evil"] button`)
	v.awaitText("Release evil from quarantine?")
	v.press("#question-yes")
	v.awaitText("evil is released from quarantine")
	if out := n.MustRun("archy-recovery", "--uid", "1000", "quarantine", "list"); strings.Contains(out, "quarantined") {
		v.t.Errorf("the quarantine is still %q", out)
	}
}

// repair mends a container that only podman's storage knows, after a look at what that would do.
func (v *visitor) repair(n *node) {
	repairs := func() string {
		out, _ := n.Run("archy-recovery", "--uid", "1000", "repair", "till")
		return out
	}
	v.awaitText("till failed to start")
	v.press(`li[data-key="missing-till"] button[data-action=repair]`)
	v.awaitText("Repair till?")
	v.awaitText("A repair would remove the container")
	v.shoot("repair")
	v.press(`dialog button[value=no]`)
	v.await("its end", `!d.querySelector("dialog").open`)
	if out := repairs(); !strings.Contains(out, "would remove the container") {
		v.t.Errorf("a cancelled repair was made; repair says %q", out)
	}
	v.press(`li[data-key="missing-till"] button[data-action=repair]`)
	v.await("the question", `d.querySelector("dialog").open`)
	v.press("#question-yes")
	v.await("the container", `!d.querySelector('li[data-key="missing-till"]') &&
		d.querySelector('tr[data-key="row-till"]').innerText.includes("up")`)
	if !slices.Contains(strings.Fields(n.user.MustRun("podman", "ps", "--format", "{{.Names}}")), "till") {
		v.t.Error("the container does not run")
	}
}

// useKeyboard reaches a button by the keyboard alone, and answers the question by it.
func (v *visitor) useKeyboard(n *node) {
	// A try that begins just then takes a button away, and the focus with it.
	n.MustRun("archy-recovery", "--uid", "1000", "hold", "10min")
	defer n.MustRun("archy-recovery", "--uid", "1000", "hold", "--end")
	v.await("the hold", `d.querySelector("button[data-action=unhold]")`)
	key := func(keys string, options ...chromedp.KeyOption) { v.do(chromedp.KeyEvent(keys, options...)) }
	v.do(chromedp.Focus(frame))
	js[bool](v, `d.querySelector("#page").focus() ?? true`)
	focused := `(d.activeElement.dataset.action ?? d.activeElement.id)`
	for range 40 {
		key(kb.Tab)
		if js[string](v, focused) == "snapshot" {
			break
		}
	}
	key(kb.Enter)
	v.await("focus that stays", focused+` === "snapshot"`)
	v.await("the end of the request", `!d.activeElement.disabled`)
	for range 40 {
		key(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift))
		if js[bool](v, focused+` === "stop" && d.activeElement.dataset.name === "db"`) {
			break
		}
	}
	key(kb.Enter)
	v.await("the question", `d.querySelector("dialog").open`)
	key(kb.Escape)
	v.await("its end", `!d.querySelector("dialog").open`)
	v.await("focus where it was", focused+` === "stop"`)
	if out := n.MustRun("archy-recovery", "--uid", "1000", "user-stopped", "list"); strings.Contains(out, "db") {
		v.t.Errorf("Escape confirmed the question: %s", out)
	}
	if unnamed := js[float64](v, `[...d.querySelectorAll("button, img")].filter(e =>
		!(e.innerText || e.ariaLabel || e.alt)).length`); unnamed != 0 {
		v.t.Errorf("%v buttons or pictures have no name", unnamed)
	}
}

// lookBack opens the earlier recoveries and boots.
func (v *visitor) lookBack() {
	v.press("details[data-key=recoveries] summary")
	v.await("recoveries", `d.querySelectorAll("details[data-key=recoveries] tbody tr").length > 2`)
	v.press("details[data-key=recoveries] tbody tr:nth-child(2) button")
	v.await("its picture", `d.querySelector("details[data-key=recoveries] .picture img")?.naturalWidth`)
	v.press("details[data-key=boots] summary")
	v.await("boots", `d.querySelector("details[data-key=boots] tbody")?.innerText.includes("The power failed")`)
	v.shootAll("history")
}

// enableSystem sees that no instance is enabled, how that is done, and that it was done.
func (v *visitor) enableSystem(n *node) {
	v.press(`nav button[data-name="system"]`)
	v.awaitText("Recovery is not enabled here")
	v.awaitText("systemctl enable --now archy-recovery")
	v.shoot("not-enabled")
	n.quadlet(0, "proxy", 1, "")
	n.Systemctl("start", "proxy")
	n.MustRun("systemctl", "enable", "--now", "archy-recovery.service")
	v.await("the instance", `d.querySelector('tr[data-key="row-proxy"]')`)
	v.press(`tr[data-key="row-proxy"] button`) // with administrative access
	v.press("#question-yes")
	v.await("the list", `d.querySelector('tr[data-key="row-proxy"] button')?.innerText === "Allow"`)
	v.press(`tr[data-key="row-proxy"] button`)
	v.await("the list", `d.querySelector('tr[data-key="row-proxy"] button')?.innerText === "Keep stopped"`)
}

// reloadOften checks that a page that is gone leaves no connection: the daemon serves a limited
// number.
func (v *visitor) reloadOften(n *node) {
	for range 5 {
		v.do(chromedp.Reload(), chromedp.WaitVisible(frame))
		v.await("the page", `d.querySelector("section h2")`)
	}
	connections := strings.Count(n.MustRun("ss", "--no-header", "--unix", "state", "connected"), "/run/archy-recovery/")
	if connections > 2 { // of this page, and of the last one if it is just being closed
		v.t.Errorf("%d connections are open after some reloads", connections)
	}
}

// seeStop stops the daemon. The page says so and does not start it again.
func (v *visitor) seeStop(n *node) {
	v.press(`nav button[data-name="own"]`)
	v.awaitText("What happened")
	n.MustRun("systemctl", "stop", instance)
	v.awaitText("The service does not run")
	v.shoot("stopped")
	if state := n.Show(instance, "ActiveState")["ActiveState"]; state != "inactive" {
		v.t.Errorf("the daemon is %s after its stop", state)
	}
	n.MustRun("systemctl", "start", instance)
	v.awaitText("What happened")
}

// beRefused tries to change the system instance with read access only.
func (v *visitor) beRefused() {
	v.press(`nav button[data-name="system"]`)
	v.press(`tr[data-key="row-proxy"] button`)
	v.press("#question-yes")
	v.awaitText("Nothing was changed: only root and uid 0 may change things here")
	v.awaitText("turn on administrative access")
	v.shootAll("refused")
	if role := js[string](v, `d.querySelector("#refusal").getAttribute("role")`); role != "alert" {
		v.t.Errorf("the refusal has the role %q", role)
	}
}
