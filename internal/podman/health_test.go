package podman

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config, state string
		want          recover.Health
	}{
		"none":     {`null`, `{"Status":"running"}`, recover.Health{Running: true}},
		"disabled": {`{"Test":["NONE"]}`, `{"Status":"running"}`, recover.Health{Running: true}},
		"empty":    {`{"Test":["CMD"]}`, `{"Status":"running"}`, recover.Health{Running: true}},
		"a command": {`{"Test":["CMD","pg_isready","-q"],"Timeout":30000000000}`,
			`{"Status":"running","Health":{"Status":"starting"}}`,
			recover.Health{Command: []string{"pg_isready", "-q"}, Running: true, Timeout: 30 * time.Second}},
		"a shell": {`{"Test":["CMD-SHELL","curl -f localhost || exit 1"],"Timeout":1000000000}`,
			`{"Status":"running","Health":{"Status":"healthy"}}`,
			recover.Health{Command: []string{"sh", "-c", "curl -f localhost || exit 1"}, Passed: true, Running: true,
				Timeout: time.Second}},
		"as it is": {`{"Test":["/check","-x"]}`, `{"Status":"exited"}`, recover.Health{Command: []string{"/check", "-x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := clientOf(t, answers(http.StatusOK,
				fmt.Sprintf(`{"Name":"db","Config":{"Healthcheck":%s},"State":%s}`, c.config, c.state))).Health(t.Context(), "db")
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	if _, err := clientOf(t, answers(http.StatusNotFound, `{"message":"no such container"}`)).
		Health(t.Context(), "db"); !errors.Is(err, recover.ErrNoContainer) {
		t.Errorf("gone: %v", err)
	}
}

// TestTryHealth runs a check on a fake podman, whose answers are those of 4.3 and 5.4.
func TestTryHealth(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		create func(http.ResponseWriter)
		end    string
		passed bool
		wrong  string
	}{
		"passes":     {nil, `{"Running":false,"ExitCode":0}`, true, ""},
		"fails":      {nil, `{"Running":false,"ExitCode":1}`, false, ""},
		"no command": {nil, `{"Running":false,"ExitCode":127}`, false, ""},
		"goes on":    {nil, `{"Running":true,"ExitCode":0}`, false, ""},
		"the container has ended": {func(w http.ResponseWriter) {
			answers(http.StatusInternalServerError, `{"message":"can only create exec sessions on running containers"}`)(w, nil)
		}, "", false, "running containers"},
		"the container is gone": {func(w http.ResponseWriter) {
			answers(http.StatusNotFound, `{"message":"no container with name or ID \"db\" found"}`)(w, nil)
		}, "", false, "no container"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls []string
			client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				call := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v4.0.0/libpod/")
				calls = append(calls, call)
				switch call {
				case "POST containers/db/exec":
					var config struct {
						Cmd                        []string
						AttachStdout, AttachStderr bool
					}
					if err := json.Unmarshal(body, &config); err != nil || !slices.Equal(config.Cmd, []string{"/check", "-x"}) ||
						!config.AttachStdout || !config.AttachStderr || r.Header.Get("Content-Type") != "application/json" {
						t.Errorf("%v, %s", err, body)
					}
					if c.create != nil {
						c.create(w)
						return
					}
					answers(http.StatusCreated, `{"Id":"e1"}`)(w, r)
				case "POST exec/e1/start":
					// podman takes the connection over and closes it at the end of the command.
					conn, buffer, err := http.NewResponseController(w).Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					fmt.Fprint(buffer, "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\noutput\n")
					buffer.Flush()
					conn.Close()
				case "GET exec/e1/json":
					answers(http.StatusOK, c.end)(w, r)
				default:
					t.Errorf("unexpected %s", call)
				}
			})
			passed, err := client.TryHealth(t.Context(), "db", []string{"/check", "-x"})
			if passed != c.passed || (err != nil) != (c.wrong != "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%t, %v; want %t, %q", passed, err, c.passed, c.wrong)
			}
			if c.wrong == "" && len(calls) != 3 {
				t.Errorf("calls %q", calls)
			}
			if gone := errors.Is(err, recover.ErrNoContainer); gone != (name == "the container is gone") {
				t.Errorf("it is gone: %t", gone)
			}
		})
	}
}

// TestHungCheck: a command that hangs holds up its own caller only, until that gives up.
func TestHungCheck(t *testing.T) {
	t.Parallel()
	started := make(chan struct{})
	client := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client hangs up
		switch {
		case strings.HasSuffix(r.URL.Path, "/exec"):
			answers(http.StatusCreated, `{"Id":"e1"}`)(w, r)
		case strings.HasSuffix(r.URL.Path, "/start"):
			_ = http.NewResponseController(w).Flush()
			close(started)
			<-r.Context().Done() // ends when the client hangs up
		default:
			fmt.Fprint(w, `{"Name":"db","State":{"Status":"running"}}`)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := client.TryHealth(ctx, "db", []string{"hang"})
		ended <- err
	}()
	<-started
	if _, err := client.Health(t.Context(), "db"); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestListedHealth: what the list says of health checks, as podman 4.3 and 5.4 have it. Of a
// container that does not run, an empty word says nothing.
func TestListedHealth(t *testing.T) {
	t.Parallel()
	got, err := clientOf(t, answers(http.StatusOK, `[
		{"Names":["checked"],"State":"running","Status":"starting"},
		{"Names":["none"],"State":"running","Status":""},
		{"Names":["ended"],"State":"exited","Status":"healthy"},
		{"Names":["new"],"State":"created","Status":""}]`)).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]recover.HealthCheck{"checked": recover.HasHealthCheck, "none": recover.NoHealthCheck,
		"ended": recover.HasHealthCheck, "new": ""}
	for _, s := range got {
		if s.Health != want[s.Name] {
			t.Errorf("%s: %q, want %q", s.Name, s.Health, want[s.Name])
		}
	}
}

func TestRunHealthCheck(t *testing.T) {
	t.Parallel()
	asked := ""
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.Path
		answers(http.StatusOK, `{"Status":"healthy","FailingStreak":0,"Log":null}`)(w, r)
	})
	if err := c.RunHealthCheck(t.Context(), "db"); err != nil || asked != "GET /v4.0.0/libpod/containers/db/healthcheck" {
		t.Errorf("%v: %s", err, asked)
	}
	if err := c.RunHealthCheck(t.Context(), "../x"); err == nil {
		t.Error("a path is no name")
	}
	if _, err := c.TryHealth(t.Context(), "../x", nil); err == nil {
		t.Error("a path is no name")
	}
}
