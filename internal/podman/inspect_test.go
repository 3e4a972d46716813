package podman

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStoppedByUser(t *testing.T) {
	t.Parallel()
	const podman4, podman5 = "4.3.1", "5.4.2"
	state := func(version, state string) http.HandlerFunc {
		return answersOf(version, fmt.Sprintf(`{"Name":"p1","State":{"Status":"exited",%s}}`, state))
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   bool
		fails  bool
	}{
		"stopped":                   {state("", `"StoppedByUser":true,"ExitCode":137`), true, false},
		"not stopped":               {state("", `"ExitCode":137`), false, false},
		"podman 4.3, stopped":       {state(podman4, `"ExitCode":137`), true, false},
		"podman 4.3, failed":        {state(podman4, `"ExitCode":1`), false, false},
		"podman 4.3, out of memory": {state(podman4, `"ExitCode":137,"OOMKilled":true`), false, false},
		"podman 5, killed":          {state(podman5, `"ExitCode":137`), false, false},
		"another, whose ID begins so": {
			answers(http.StatusOK, `{"Name":"p12","State":{"StoppedByUser":true}}`), false, true},
		"no such container":             {answers(http.StatusNotFound, `{"message":"no such container"}`), false, true},
		"a list in place of the answer": {answers(http.StatusOK, `[]`), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := clientOf(t, c.answer).StoppedByUser(t.Context(), "p1")
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	_, err := New("/nonexistent", neverWake).StoppedByUser(t.Context(), "../x")
	if err == nil || !strings.Contains(err.Error(), "not a container name") {
		t.Errorf("a path: %v", err)
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.EscapedPath() {
		case "/v4.0.0/libpod/containers/db/json":
			fmt.Fprint(w, `{"Name":"db","State":{"StoppedByUser":true},"Mounts":[{"Type":"bind","Source":"/mnt/db"},`+
				`{"Type":"volume","Source":"/var/lib/v"},{"Type":"bind","Source":"/etc/x"}]}`)
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
	for name, c := range map[string]struct {
		states []string // at each look
		events int      // that podman sends before it ends the stream; -1: it never ends
		wrong  string
	}{
		"no health check":        {[]string{""}, 0, ""},
		"healthy":                {[]string{"healthy"}, 0, ""},
		"healthy after an event": {[]string{"starting", "unhealthy", "healthy"}, -1, ""},
		"events end":             {[]string{"starting"}, 0, "events have ended"},
		"context ends":           {[]string{"starting", "starting"}, 1, "context"},
	} {
		t.Run(name, func(t *testing.T) {
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
