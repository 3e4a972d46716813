package podman

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// neverWake is for a socket that somebody serves.
func neverWake(context.Context) error { return errors.New("woken without need") }

// serve has h answer on a socket until the test ends.
func serve(t *testing.T, socket string, h http.Handler) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
}

// socketIn is short enough for a socket's path, whatever the test is called.
func socketIn(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "podman")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "podman.sock")
}

// clientOf is a client of a podman that answers each request with h.
func clientOf(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	socket := socketIn(t)
	serve(t, socket, h)
	return New(socket, neverWake)
}

func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// answersOf answers as a podman of this version.
func answersOf(version, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Libpod-API-Version", version)
		answers(http.StatusOK, body)(w, r)
	}
}

// podman54 is what podman 5.4.2 answers, shortened to a container of each kind:
// plain, a pod's infra and member, Quadlet's, `generate systemd --new`'s, and
// one that exited.
const podman54 = `[
{"AutoRemove":false,"Command":null,"Created":"2026-11-22T22:01:12.213256873Z","CreatedAt":"","CIDFile":"","Exited":false,"ExitedAt":-62135596800,"ExitCode":0,"ExposedPorts":null,"Id":"95ae9db16f1501afdba7c23af86a11143bf2fc1686a4aa4d4c653a980150730a","Image":"localhost/app:1","ImageID":"8dfd18037dfacaff72a2eae5ea15de69f9fd6c8def9a928d87a29c4f34ff7d0d","IsInfra":false,"Labels":null,"Mounts":[],"Names":["p1"],"Namespaces":{},"Networks":[],"Pid":257,"Pod":"","PodName":"","Ports":null,"Restarts":0,"Size":null,"StartedAt":1795386612,"State":"running","Status":""},
{"AutoRemove":false,"Command":null,"Created":"2026-11-22T22:07:57.401161241Z","CreatedAt":"","CIDFile":"","Exited":false,"ExitedAt":-62135596800,"ExitCode":0,"ExposedPorts":null,"Id":"92a3a0f4ed3774c798b35878d34d4d00d80d968d4cd0d763e5d25f4e8d7212ef","Image":"localhost/podman-pause:5.4.2-1766335321","ImageID":"d92a02cd46ab0a873cb2ad0e346e87cdfa87264ac65fa951c7e2f5ce3100bde3","IsInfra":true,"Labels":{"io.buildah.version":"1.39.3"},"Mounts":[],"Names":["c1320e77430e-infra"],"Namespaces":{},"Networks":[],"Pid":258,"Pod":"c1320e77430e92ee8dbdeb3faeb239cbec4ccda5d83f70f90603b064fb813c9b","PodName":"pod1","Ports":null,"Restarts":0,"Size":null,"StartedAt":1795386612,"State":"running","Status":""},
{"AutoRemove":false,"Command":["/app","--serve"],"Created":"2026-11-22T22:07:57.480198547Z","CreatedAt":"","CIDFile":"","Exited":false,"ExitedAt":-62135596800,"ExitCode":0,"ExposedPorts":{"80":["tcp"]},"Id":"4ec24b0c7f920f0a755fb13d39cd1ed38430c1cbc728496994292213814eb944","Image":"localhost/app:1","ImageID":"8dfd18037dfacaff72a2eae5ea15de69f9fd6c8def9a928d87a29c4f34ff7d0d","IsInfra":false,"Labels":{},"Mounts":["/data"],"Names":["pc1"],"Namespaces":{},"Networks":["podman"],"Pid":302,"Pod":"c1320e77430e92ee8dbdeb3faeb239cbec4ccda5d83f70f90603b064fb813c9b","PodName":"pod1","Ports":[{"host_ip":"","container_port":80,"host_port":8080,"range":1,"protocol":"tcp"}],"Restarts":0,"Size":null,"StartedAt":1795386612,"State":"paused","Status":""},
{"AutoRemove":true,"Command":null,"Created":"2026-11-22T22:30:11.928605348Z","CreatedAt":"","CIDFile":"/run/q1.cid","Exited":false,"ExitedAt":-62135596800,"ExitCode":0,"ExposedPorts":null,"Id":"fb7ac3a737165ba2ae2644561d2cac5734a487ff1feb6aa6328b8be1febaac03","Image":"localhost/app:1","ImageID":"8dfd18037dfacaff72a2eae5ea15de69f9fd6c8def9a928d87a29c4f34ff7d0d","IsInfra":false,"Labels":{"PODMAN_SYSTEMD_UNIT":"q1.service","io.archy.tier":"1"},"Mounts":[],"Names":["q1"],"Namespaces":{},"Networks":[],"Pid":202,"Pod":"","PodName":"","Ports":null,"Restarts":0,"Size":null,"StartedAt":1795386612,"State":"running","Status":""},
{"AutoRemove":false,"Command":null,"Created":"2026-11-22T21:12:00.1Z","CreatedAt":"","CIDFile":"","Exited":true,"ExitedAt":1795386000,"ExitCode":137,"ExposedPorts":null,"Id":"62da922782157fcfe0da48631073fadf774053c92c827e2f1f4eb30bda200303","Image":"docker.io/library/postgres:16","ImageID":"8dfd18037dfacaff72a2eae5ea15de69f9fd6c8def9a928d87a29c4f34ff7d0d","IsInfra":false,"Labels":{"PODMAN_SYSTEMD_UNIT":"container-db.service","io.archy.tier":"soon"},"Mounts":[],"Names":["db"],"Namespaces":{},"Networks":[],"Pid":0,"Pod":"","PodName":"","Ports":null,"Restarts":0,"Size":null,"StartedAt":1795385000,"State":"exited","Status":""}
]`

func TestListReadsWhatPodmanAnswers(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.String()
		answers(http.StatusOK, podman54)(w, r)
	})
	got, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	one := 1
	want := []recover.Sighting{
		{Container: recover.Container{Name: "p1", Image: "localhost/app:1"}, ID: "95ae9db16f1501afdba7c23af86a11143bf2fc1686a4aa4d4c653a980150730a", State: "running"},
		{Container: recover.Container{Name: "c1320e77430e-infra", Image: "localhost/podman-pause:5.4.2-1766335321"}, ID: "92a3a0f4ed3774c798b35878d34d4d00d80d968d4cd0d763e5d25f4e8d7212ef", State: "running", Infra: true},
		{Container: recover.Container{Name: "pc1", Image: "localhost/app:1"}, ID: "4ec24b0c7f920f0a755fb13d39cd1ed38430c1cbc728496994292213814eb944", State: "paused"},
		{Container: recover.Container{Name: "q1", Image: "localhost/app:1", Unit: "q1.service", Tier: &one}, ID: "fb7ac3a737165ba2ae2644561d2cac5734a487ff1feb6aa6328b8be1febaac03", State: "running"},
		{Container: recover.Container{Name: "db", Image: "docker.io/library/postgres:16", Unit: "container-db.service"}, ID: "62da922782157fcfe0da48631073fadf774053c92c827e2f1f4eb30bda200303", State: "exited", ExitCode: 137},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, want := <-asked, "GET /v4.0.0/libpod/containers/json?all=true"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestListOfNothing(t *testing.T) {
	t.Parallel()
	if got, err := clientOf(t, answers(http.StatusOK, "[]\n")).List(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestListGoesOnWithoutAContainerWhoseNameIsNone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{strings.Repeat("a", 300), "../etc", "", "a b"} {
		body := fmt.Sprintf(`[{"Names":["a"],"State":"running"},{"Names":[%q],"State":"running"},{"Names":["b"],"State":"running"}]`, name)
		got, err := clientOf(t, answers(http.StatusOK, body)).List(t.Context())
		if err != nil || len(got) != 2 || got[0].Name != "a" || got[1].Name != "b" {
			t.Errorf("beside %.20q: got %v, %v", name, got, err)
		}
	}
}

// A failure is never an empty list: to recovery that would say that nothing
// runs.
func TestListFails(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"with podman's own words": {
			answers(http.StatusInternalServerError, `{"cause":"database is locked","message":"listing containers: database is locked","response":500}`),
			"500 Internal Server Error: listing containers: database is locked"},
		"with the status where podman has no words": {answers(http.StatusBadGateway, "<html>"), "502 Bad Gateway"},
		"at half an answer":                         {answers(http.StatusOK, podman54[:len(podman54)/2]), "cannot be read"},
		"at an answer that is cut off at a comma":   {answers(http.StatusOK, `[{"Names":["a"]},`), "cannot be read"},
		"at no answer":                              {answers(http.StatusOK, ""), "cannot be read"},
		"at an answer of another kind":              {answers(http.StatusOK, `{"containers":[]}`), "cannot be read"},
		"at a container without a name":             {answers(http.StatusOK, `[{"Names":[],"State":"running"}]`), "no name"},
		"at a connection that breaks": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`[{"Names":["a"]`))
			panic(http.ErrAbortHandler)
		}, "EOF"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			got, err := clientOf(t, c.answer).List(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "podman") {
				t.Errorf("got %v, %v; should say %q", got, err, c.says)
			}
		})
	}
}

func TestAnAnswerWithoutAnEndIsNotReadForEver(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	c := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
		container := []byte(`{"Names":["` + strings.Repeat("a", 200) + `"],"Labels":{"l":"` + strings.Repeat("x", 64<<10) + `"}},`)
		_, err := w.Write([]byte("["))
		for err == nil {
			_, err = w.Write(container)
			sent.Add(int64(len(container)))
		}
	})
	got, err := c.List(t.Context())
	if err == nil {
		t.Errorf("got %d containers", len(got))
	}
	if n := sent.Load(); n > 2*maxAnswer {
		t.Errorf("podman could send %d bytes", n)
	}
}

func TestAPodmanThatHangsIsLeftWithTheContext(t *testing.T) {
	t.Parallel()
	for sentence, begin := range map[string]func(w http.ResponseWriter){
		"before its answer": func(http.ResponseWriter) {},
		"in its answer": func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`[{"Names":["a"]},`))
			_ = http.NewResponseController(w).Flush()
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			asked := make(chan struct{})
			c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
				begin(w)
				close(asked)
				<-r.Context().Done() // ends when the client hangs up
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-asked; cancel() }()
			if got, err := c.List(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestPodmanIsWokenOnceWhereNobodyListens(t *testing.T) {
	t.Parallel()
	for sentence, prepare := range map[string]func(t *testing.T, socket string){
		"no socket": func(*testing.T, string) {},
		"a socket that a dead podman left": func(t *testing.T, socket string) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false)
			l.Close()
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			socket := socketIn(t)
			prepare(t, socket)
			woken := 0
			c := New(socket, func(context.Context) error {
				woken++
				os.Remove(socket)
				serve(t, socket, answers(http.StatusOK, podman54))
				return nil
			})
			for range 2 {
				if got, err := c.List(t.Context()); err != nil || len(got) != 5 {
					t.Errorf("got %v, %v", got, err)
				}
			}
			if woken != 1 {
				t.Errorf("woken %d times", woken)
			}
		})
	}
}

func TestAPodmanThatDoesNotWake(t *testing.T) {
	t.Parallel()
	failure := errors.New("podman.socket is masked")
	for sentence, c := range map[string]struct {
		wake error
		want []error
	}{
		"since it cannot be started tells why":      {failure, []error{failure, syscall.ENOENT}},
		"although it was started is given up on it": {nil, []error{syscall.ENOENT}},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			woken := 0
			_, err := New(socketIn(t), func(context.Context) error { woken++; return c.wake }).List(t.Context())
			for _, want := range c.want {
				if !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			}
			if woken != 1 {
				t.Errorf("woken %d times", woken)
			}
		})
	}
}

func TestAWakeThatHangsIsLeftWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := New(socketIn(t), func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}).List(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestASocketThatMayNotBeOpenedIsNotWoken(t *testing.T) {
	t.Parallel()
	// A path that is too long fails as one without permission does: to wake
	// podman would not help.
	if _, err := New("/"+strings.Repeat("x", 200), neverWake).List(t.Context()); err == nil || strings.Contains(err.Error(), "woken") {
		t.Errorf("got %v", err)
	}
}

func TestNoConnectionIsKeptSincePodmanWaitsForItsLast(t *testing.T) {
	t.Parallel()
	socket := socketIn(t)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(answers(http.StatusOK, podman54))
	server.Listener.Close()
	server.Listener = l
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			closed <- struct{}{}
		}
	}
	server.Start()
	defer server.Close()
	if _, err := New(socket, neverWake).List(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Error("the connection is still open")
	}
}

func TestGenerateUnit(t *testing.T) {
	t.Parallel()
	// As podman 5.4.2 answers.
	const text = "# container-p1.service\n# autogenerated by Podman 5.4.2\n\n[Unit]\nDescription=Podman container-p1.service\n" +
		"Wants=network-online.target\nAfter=network-online.target\nRequiresMountsFor=/run/containers/storage\n\n" +
		"[Service]\nEnvironment=PODMAN_SYSTEMD_UNIT=%n\nRestart=no\nTimeoutStopSec=70\nExecStart=/usr/bin/podman start p1\n" +
		"ExecStop=/usr/bin/podman stop  \\\n\t-t 10 p1\nExecStopPost=/usr/bin/podman stop  \\\n\t-t 10 p1\n" +
		"PIDFile=/run/containers/storage/overlay-containers/95ae/userdata/conmon.pid\nType=forking\n\n[Install]\nWantedBy=default.target\n"
	// Nothing that would stop or start the container again later.
	const want = "[Unit]\nDescription=Podman container-p1.service\nWants=network-online.target\nAfter=network-online.target\n" +
		"RequiresMountsFor=/run/containers/storage\n\n[Service]\nExecStart=/usr/bin/podman start p1\nType=oneshot\nKillMode=process\n"
	asked := make(chan string, 1)
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method + " " + r.URL.String()
		answers(http.StatusOK, fmt.Sprintf(`{"container-p1":%q}`, text))(w, r)
	})
	unit, got, err := c.GenerateUnit(t.Context(), "p1")
	if err != nil || unit != "container-p1.service" || got != want {
		t.Errorf("got %q, %q, %v", unit, got, err)
	}
	if got, want := <-asked, "GET /v4.0.0/libpod/generate/p1/systemd?useName=true&restartPolicy=no"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestStoppedByUser(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		answer http.HandlerFunc
		want   bool
		fails  bool
	}{
		"one that was stopped":                  {answers(http.StatusOK, `{"Name":"p1","State":{"Status":"exited","StoppedByUser":true,"ExitCode":137}}`), true, false},
		"one that was stopped, of podman 4.3":   {answersOf("4.3.1", `{"Name":"p1","State":{"Status":"exited","ExitCode":137}}`), true, false},
		"one that failed, of podman 4.3":        {answersOf("4.3.1", `{"Name":"p1","State":{"Status":"exited","ExitCode":1}}`), false, false},
		"one that lacked memory, of podman 4.3": {answersOf("4.3.1", `{"Name":"p1","State":{"Status":"exited","ExitCode":137,"OOMKilled":true}}`), false, false},
		"one that was killed, of podman 5":      {answersOf("5.4.2", `{"Name":"p1","State":{"Status":"exited","ExitCode":137}}`), false, false},
		"one that was not":                      {answers(http.StatusOK, `{"Name":"p1","State":{"Status":"exited","ExitCode":137}}`), false, false},
		"another, whose ID begins with that":    {answers(http.StatusOK, `{"Name":"p12","State":{"StoppedByUser":true}}`), false, true},
		"a podman that does not know":           {answers(http.StatusNotFound, `{"message":"no such container"}`), false, true},
		"a podman that answers a list":          {answers(http.StatusOK, `[]`), false, true},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			got, err := clientOf(t, c.answer).StoppedByUser(t.Context(), "p1")
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	if _, err := New("/nonexistent", neverWake).StoppedByUser(t.Context(), "../x"); err == nil || !strings.Contains(err.Error(), "not a container name") {
		t.Errorf("a path: %v", err)
	}
}

func TestGenerateUnitFails(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		name   string
		answer http.HandlerFunc
		says   string
	}{
		"for a container that is gone": {"nope",
			answers(http.StatusInternalServerError, `{"cause":"no such container","message":"generating systemd units: nope does not refer to a container or pod","response":500}`),
			"nope does not refer to a container or pod"},
		"when the unit is another's": {"p1", answers(http.StatusOK, `{"container-p2":"[Unit]"}`), "no unit container-p1"},
		"when the unit is empty":     {"p1", answers(http.StatusOK, `{"container-p1":""}`), "no ExecStart="},
		"when the answer is half":    {"p1", answers(http.StatusOK, `{"container-p1":"[Un`), "cannot be read"},
		"for a path":                 {"../../v1/x", neverAsked(t), "not a container name"},
		"for a query":                {"a?b", neverAsked(t), "not a container name"},
		"for nothing":                {"", neverAsked(t), "not a container name"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			unit, text, err := clientOf(t, c.answer).GenerateUnit(t.Context(), c.name)
			if err == nil || !strings.Contains(err.Error(), c.says) || unit != "" || text != "" {
				t.Errorf("got %q, %q, %v; should say %q", unit, text, err, c.says)
			}
		})
	}
}

func neverAsked(t *testing.T) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) { t.Errorf("podman was asked for %s", r.URL) }
}

func TestInspecting(t *testing.T) {
	t.Parallel()
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.EscapedPath() {
		case "/v4.0.0/libpod/containers/db/json":
			fmt.Fprint(w, `{"Name":"db","State":{"StoppedByUser":true},"Mounts":[{"Type":"bind","Source":"/mnt/db"},{"Type":"volume","Source":"/var/lib/v"},{"Type":"bind","Source":"/etc/x"}]}`)
		case "/v4.0.0/libpod/images/localhost%2Fapp:1/json":
			fmt.Fprint(w, `{"Id":"abc"}`)
		default:
			http.Error(w, `{"message":"no such thing"}`, http.StatusNotFound)
		}
	})
	if stopped, err := c.StoppedByUser(t.Context(), "db"); err != nil || !stopped {
		t.Errorf("stopped: %v, %v", stopped, err)
	}
	binds, err := c.Binds(t.Context(), "db")
	if diff := cmp.Diff([]string{"/mnt/db", "/etc/x"}, binds); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if id, err := c.ImageID(t.Context(), "localhost/app:1"); err != nil || id != "abc" {
		t.Errorf("image: %q, %v", id, err)
	}
	if _, err := c.Binds(t.Context(), "none"); err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("of no container: %v", err)
	}
	if _, err := c.Binds(t.Context(), "../images"); err == nil || !strings.Contains(err.Error(), "not a container name") {
		t.Errorf("of a name that is none: %v", err)
	}
	if _, err := c.ImageID(t.Context(), "../containers/db"); err == nil {
		t.Error("a path was taken for an image")
	}
}

func TestAwaitHealthy(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct {
		states []string // at each look
		events int      // that podman sends before it ends the stream; -1: it never ends
		wrong  string
	}{
		"at once without a health check":       {[]string{""}, 0, ""},
		"at once when it is healthy":           {[]string{"healthy"}, 0, ""},
		"at the event that makes it healthy":   {[]string{"starting", "unhealthy", "healthy"}, -1, ""},
		"an error when podman ends the events": {[]string{"starting"}, 0, "events have ended"},
		"in vain until the context ends":       {[]string{"starting", "starting"}, 1, "context"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			var looks atomic.Int64
			looked := make(chan struct{}, 16)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/events") {
					if !strings.Contains(r.URL.Query().Get("filters"), `"container":["db"]`) {
						t.Errorf("it listens to %q", r.URL.RawQuery)
					}
					_ = http.NewResponseController(w).Flush()
					for n := 0; n != c.events; n++ {
						select {
						case <-looked:
						case <-r.Context().Done():
							return
						}
						fmt.Fprintln(w, `{"Type":"container","Action":"health_status"}`)
						_ = http.NewResponseController(w).Flush()
					}
					if c.wrong == "context" {
						<-looked
						cancel()
						<-r.Context().Done()
					}
					return
				}
				n := int(looks.Add(1))
				fmt.Fprintf(w, `{"Name":"db","State":{"Health":{"Status":%q}}}`, c.states[min(n, len(c.states))-1])
				_ = http.NewResponseController(w).Flush()
				looked <- struct{}{}
			})
			err := client.AwaitHealthy(ctx, "db")
			if (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%v, want %q", err, c.wrong)
			}
			if n := int(looks.Load()); n != len(c.states) {
				t.Errorf("it looked %d times, want %d", n, len(c.states))
			}
		})
	}
}
