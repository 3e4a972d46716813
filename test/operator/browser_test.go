package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// A visitor is a browser that is logged in to the node's Cockpit and has the page open.
type visitor struct {
	t   *testing.T
	ctx context.Context
	log *consoleLog
}

// A consoleLog is the errors and warnings of the browser's console.
type consoleLog struct {
	mu    sync.Mutex
	lines []string
}

// follow adds the page's messages until the browser ends.
func (c *consoleLog) follow(messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range messages {
		if err != nil {
			return
		}
		ours := m.URL == "" || strings.Contains(m.URL, "/archy-recovery/") // and not the shell's
		if ours && (m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleException || m.Type == "warning") {
			c.mu.Lock()
			c.lines = append(c.lines, fmt.Sprintf("%s: %s (%s)", m.Type, m.Text, m.URL))
			c.mu.Unlock()
		}
	}
}

const password = "correct horse"

// forward makes a port of the test's host lead to a port of the machine, whatever boot it is in.
// It returns its address.
func (n *node) forward(port int) string {
	n.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go n.pass(client, port)
		}
	}()
	return l.Addr().String()
}

func (n *node) pass(client net.Conn, port int) {
	defer client.Close()
	server, err := n.Dial(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return // the browser sees that nobody listens
	}
	go func() {
		defer client.Close()
		_, _ = io.Copy(client, server)
	}()
	defer server.Close()
	_, _ = io.Copy(server, client)
}

// visit logs a user in at an address and opens the page. With admin the user turns on
// administrative access.
func visit(t *testing.T, address, user string, admin bool) *visitor {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium-headless-shell"),
		chromedp.NoSandbox) // Chromium's sandbox does not run as root
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	v := &visitor{t: t, ctx: ctx, log: &consoleLog{}}
	go v.log.follow(chromedp.Console(ctx))
	access := "none"
	if admin {
		access = "any"
	}
	// Soon after a boot cockpit-ws may not answer yet: a person loads the page again.
	v.do(chromedp.Navigate("about:blank")) // starts the browser, without a time limit
	for deadline := time.Now().Add(time.Minute); ; {
		bounded, end := context.WithTimeout(ctx, 10*time.Second)
		err := chromedp.Do(bounded, chromedp.Navigate("http://"+address+"/archy-recovery"))
		end()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("browser: %v", err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	v.logIn(user, access)
	return v
}

// logIn fills in the login page. access is what the shell remembers of the user's last choice
// of administrative access: "any" or "none".
func (v *visitor) logIn(user, access string) {
	v.t.Helper()
	v.size(1280, 900)
	v.do(chromedp.WaitVisible("#login-user-input"))
	_, err := chromedp.Run(v.ctx, chromedp.Evaluate[bool](
		fmt.Sprintf(`localStorage.setItem("superuser:%s", %q), true`, user, access)))
	if err != nil {
		v.t.Fatal(err)
	}
	v.do(chromedp.SendKeys("#login-user-input", user),
		chromedp.SendKeys("#login-password-input", password),
		chromedp.Click("#login-button"),
		chromedp.WaitVisible(frame))
	v.await("the page", `d.querySelector("main section") || d.querySelector("#refusal p")`)
}

// frame is where the shell shows the page.
const frame = `iframe[name="cockpit1:localhost/archy-recovery"]`

// do carries out actions of the browser, for at most half a minute.
func (v *visitor) do(actions ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	if err := chromedp.Do(v.ctx, actions[0]); err != nil { // the first one starts the browser
		v.t.Fatalf("browser: %v", err)
	}
	ctx, cancel := context.WithTimeout(v.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions[1:]...); err != nil {
		v.shoot("failed")
		v.t.Fatalf("browser: %v", err)
	}
}

// inFrame is JavaScript in which d is the page's document.
func inFrame(expression string) string {
	return fmt.Sprintf(`(() => {
		const d = document.querySelector(%q)?.contentDocument;
		return d?.body ? (%s) : null;
	})()`, frame, expression)
}

// js evaluates an expression in which d is the page's document.
func js[T any](v *visitor, expression string) T {
	v.t.Helper()
	value, err := chromedp.Run(v.ctx, chromedp.Evaluate[T](inFrame(expression)))
	if err != nil {
		v.t.Fatalf("browser: %s: %v", expression, err)
	}
	return value
}

// await waits until an expression is true.
func (v *visitor) await(what, expression string) {
	v.t.Helper()
	_, err := chromedp.Run(v.ctx, chromedp.Poll[bool](inFrame("Boolean("+expression+")"),
		chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(30*time.Second)))
	if err != nil {
		v.shoot("failed")
		v.wantQuietConsole()
		focused := js[string](v, `d.activeElement?.outerHTML.slice(0, 200) ?? ""`)
		v.t.Fatalf("browser: no sign of %s: %v\nthe focus is on: %s\nthe page says: %s", what, err, focused, v.text())
	}
}

// awaitText waits until the page shows a text.
func (v *visitor) awaitText(text string) {
	v.t.Helper()
	quoted, _ := json.Marshal(text)
	v.await(fmt.Sprintf("the text %q", text), fmt.Sprintf("d.body.innerText.includes(%s)", quoted))
}

func (v *visitor) text() string { return js[string](v, "d.body.innerText") }

// press clicks the middle of an element of the page with the mouse. It waits for the element. While the page
// changes, a click may miss the element, and is made again, as a person would.
func (v *visitor) press(selector string) {
	v.t.Helper()
	for range 5 {
		if v.click(selector) {
			return
		}
	}
	v.t.Fatalf("browser: five clicks have missed %s\n%s", selector, v.text())
}

// click is one try of press. It reports whether the element got the click.
func (v *visitor) click(selector string) bool {
	v.t.Helper()
	quoted, _ := json.Marshal(selector)
	v.await(selector+", where a click meets it", fmt.Sprintf(`(() => {
		const e = d.querySelector(%s);
		if (!e || e.disabled)
			return false;
		e.scrollIntoView({ block: "center" });
		const r = e.getBoundingClientRect();
		return r.width > 0 && e.contains(d.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2));
	})()`, quoted))
	at := js[[2]float64](v, fmt.Sprintf(`(() => {
		const e = d.querySelector(%[1]s);
		if (!e)
			return [-1, -1];
		e.scrollIntoView({ block: "center" });
		d.defaultView.clickMet = false;
		d.addEventListener("click", event => {
			d.defaultView.clickMet = Boolean(d.querySelector(%[1]s)?.contains(event.target));
		}, { capture: true, once: true });
		const r = e.getBoundingClientRect();
		const f = d.defaultView.frameElement.getBoundingClientRect();
		return [f.x + r.x + r.width / 2, f.y + r.y + r.height / 2];
	})()`, quoted))
	if at[0] < 0 {
		return false
	}
	v.do(chromedp.MouseClickXY(at[0], at[1]))
	return js[bool](v, "Boolean(d.defaultView.clickMet)")
}

// size makes the window that large.
func (v *visitor) size(width, height int64) {
	v.t.Helper()
	v.do(chromedp.EmulateViewport(width, height))
}

// style has the shell be light or dark, as the visitor can choose in its menu.
func (v *visitor) style(style string) {
	v.t.Helper()
	_, err := chromedp.Run(v.ctx, chromedp.Evaluate[bool](fmt.Sprintf(`(() => {
		localStorage.setItem("shell:style", %[1]q);
		const event = () => new CustomEvent("cockpit-style", { detail: { style: %[1]q } });
		window.dispatchEvent(event());
		document.querySelector(%[2]q).contentWindow.dispatchEvent(event());
		return true;
	})()`, style, frame)))
	if err != nil {
		v.t.Fatal(err)
	}
}

// shoot writes a picture of the window to dist/cockpit. The window is made as high as the page.
func (v *visitor) shoot(name string) {
	v.t.Helper()
	picture, err := chromedp.Run(v.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		dir := filepath.Join("..", "..", "dist", "cockpit")
		if err = os.MkdirAll(dir, 0o755); err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644)
		}
	}
	if err != nil {
		v.t.Errorf("browser: picture %s: %v", name, err)
	}
}

// shootAll takes a picture in each size and style.
func (v *visitor) shootAll(name string) {
	v.t.Helper()
	for _, width := range []int64{1280, 400} {
		for _, style := range []string{"light", "dark"} {
			v.style(style)
			v.size(width, 900)
			height := js[float64](v, "d.documentElement.scrollHeight")
			v.size(width, min(4000, int64(height)+200))
			if wide := js[float64](v, "d.documentElement.scrollWidth - d.documentElement.clientWidth"); wide > 0 {
				v.t.Errorf("%s at %d px: the page is %v px too wide", name, width, wide)
			}
			v.shoot(fmt.Sprintf("%s-%d-%s", name, width, style))
		}
	}
	v.style("light")
	v.size(1280, 900)
}

// wantQuietConsole checks that the browser had nothing to complain about.
func (v *visitor) wantQuietConsole() {
	v.t.Helper()
	v.log.mu.Lock()
	defer v.log.mu.Unlock()
	if len(v.log.lines) > 0 {
		v.t.Errorf("the console says:\n%s", strings.Join(v.log.lines, "\n"))
	}
}
