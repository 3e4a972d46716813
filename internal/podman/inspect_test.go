package podman

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"

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
				`{"Type":"volume","Name":"pg","Source":"/var/lib/v"},{"Type":"volume","Name":"own","Source":"/var/lib/w"},`+
				`{"Type":"volume","Name":"nfs","Source":"/var/lib/n"},{"Type":"volume","Name":"gone"},`+
				`{"Type":"bind","Source":"/etc/x"}]}`)
		case "/v4.0.0/libpod/volumes/pg/json":
			fmt.Fprint(w, `{"Name":"pg","Options":{"device":"/mnt/pg","o":"bind","type":"none"}}`)
		case "/v4.0.0/libpod/volumes/own/json":
			fmt.Fprint(w, `{"Name":"own","Options":{}}`)
		case "/v4.0.0/libpod/volumes/nfs/json":
			fmt.Fprint(w, `{"Name":"nfs","Options":{"device":":/export","o":"addr=nas","type":"nfs"}}`)
		case "/v4.0.0/libpod/images/localhost%2Fapp:1/json":
			fmt.Fprint(w, `{"Id":"abc"}`)
		case "/v4.0.0/libpod/images/localhost%2Fapp:1/exists":
			w.WriteHeader(http.StatusNoContent)
		case "/v4.0.0/libpod/images/damaged/exists":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			http.Error(w, `{"message":"no such thing"}`, http.StatusNotFound)
		}
	})
	if stopped, err := c.StoppedByUser(t.Context(), "db"); err != nil || !stopped {
		t.Errorf("stopped: %v, %v", stopped, err)
	}
	binds, err := c.Binds(t.Context(), "db")
	if diff := cmp.Diff([]string{"/mnt/db", "/mnt/pg", "/etc/x"}, binds); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if id, err := c.ImageID(t.Context(), "localhost/app:1"); err != nil || id != "abc" {
		t.Errorf("image: %q, %v", id, err)
	}
	if has, err := c.HasImage(t.Context(), "localhost/app:1"); err != nil || !has {
		t.Errorf("image that podman has: %t, %v", has, err)
	}
	if has, err := c.HasImage(t.Context(), "localhost/app:2"); err != nil || has {
		t.Errorf("image that podman does not have: %t, %v", has, err)
	}
	if has, err := c.HasImage(t.Context(), "damaged"); err == nil || has {
		t.Errorf("image of which podman says nothing: %t, %v", has, err)
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

// podman-restart.service starts what has always, and since podman 5.8 also unless-stopped.
func TestRestartsAtBoot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version, policy string
		want            bool
	}{
		{"5.4.2", "always", true}, {"5.4.2", "unless-stopped", false}, {"5.7.9", "unless-stopped", false},
		{"5.8.0-dev", "unless-stopped", true}, {"5.10.1", "unless-stopped", true}, {"6.0.0", "unless-stopped", true},
		{"6.0.0", "on-failure", false}, {"6.0.0", "", false}, {"", "unless-stopped", false}, {"", "always", true},
	} {
		body := fmt.Sprintf(`{"Name":"a","HostConfig":{"RestartPolicy":{"Name":%q}}}`, c.policy)
		got, err := clientOf(t, answersOf(c.version, body)).RestartsAtBoot(t.Context(), "a")
		if err != nil || got != c.want {
			t.Errorf("podman %q, %q: %v, %v", c.version, c.policy, got, err)
		}
	}
}

// What a container needs are IDs for podman, and names for us.
func TestConfigOf(t *testing.T) {
	t.Parallel()
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.EscapedPath() {
		case "/v4.0.0/libpod/containers/app/json":
			fmt.Fprint(w, `{"Name":"app","Dependencies":["aa11","bb22"],"Config":{"Healthcheck":{"Test":["CMD","ok"]}}}`)
		case "/v4.0.0/libpod/containers/aa11/json":
			fmt.Fprint(w, `{"Name":"db"}`)
		case "/v4.0.0/libpod/containers/bb22/json":
			fmt.Fprint(w, `{"Name":"pod-infra","IsInfra":true}`)
		case "/v4.0.0/libpod/containers/odd/json":
			fmt.Fprint(w, `{"Name":"odd","Dependencies":["cc33"]}`)
		case "/v4.0.0/libpod/containers/alone/json":
			fmt.Fprint(w, `{"Name":"alone","Dependencies":null}`)
		default:
			http.Error(w, `{"message":"no such container"}`, http.StatusNotFound)
		}
	})
	for name, want := range map[string]recover.ContainerConfig{
		"app": {Needs: []string{"db", "pod-infra"}, HealthCheck: true}, "alone": {}, "none": {},
	} {
		got, err := c.ConfigOf(t.Context(), name)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	if got, err := c.ConfigOf(t.Context(), "odd"); err == nil {
		t.Errorf("of one that needs what podman does not know: %v", got)
	}
}

func TestInspectSighting(t *testing.T) {
	t.Parallel()
	two := 2
	const id = "62da922782157fcfe0da48631073fadf774053c92c827e2f1f4eb30bda200303"
	body := func(version, state string) http.HandlerFunc {
		return answersOf(version, fmt.Sprintf(`{"Id":%q,"Name":"db","ImageName":"localhost/db:16","RestartCount":3,`+
			`"State":%s,"Config":{"Labels":{"io.archy.tier":"2","PODMAN_SYSTEMD_UNIT":"db.service"}},`+
			`"IsInfra":false,"Mounts":[]}`, id, state))
	}
	want := recover.Sighting{
		Container: recover.Container{Name: "db", Image: "localhost/db:16", Unit: "db.service", Tier: &two,
			Health: recover.NoHealthCheck},
		ID: id, Restarts: 3,
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		change func(*recover.Sighting)
	}{
		"running": {body("5.4.2", `{"Status":"running","ExitCode":0}`), func(s *recover.Sighting) {
			s.State = recover.StateRunning
		}},
		"out of memory": {body("5.4.2", `{"Status":"exited","ExitCode":137,"OOMKilled":true}`),
			func(s *recover.Sighting) { s.State, s.ExitCode, s.OOMKilled = recover.StateExited, 137, true }},
		"stopped": {body("5.4.2", `{"Status":"exited","ExitCode":143,"StoppedByUser":true}`),
			func(s *recover.Sighting) { s.State, s.ExitCode, s.StoppedByUser = recover.StateExited, 143, true }},
		"stopped, podman 4.3": {body("4.3.1", `{"Status":"exited","ExitCode":143}`),
			func(s *recover.Sighting) { s.State, s.ExitCode, s.StoppedByUser = recover.StateExited, 143, true }},
		"created": {body("5.4.2", `{"Status":"created"}`), func(*recover.Sighting) {}},
		"infra container": {answers(http.StatusOK, `{"Id":"1","Name":"db","IsInfra":true}`),
			func(s *recover.Sighting) {
				*s = recover.Sighting{ID: "1", Infra: true}
				s.Name, s.Health = "db", recover.NoHealthCheck
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := want
			c.change(&want)
			got, err := clientOf(t, c.answer).Inspect(t.Context(), "db")
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestInspectFails checks that only podman's word that there is no such container counts as that.
func TestInspectFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		none   bool
	}{
		"no such container": {answers(http.StatusNotFound, `{"message":"no such container"}`), true},
		"another, whose ID begins so": {
			answers(http.StatusOK, `{"Name":"dbx","State":{"Status":"running"}}`), true},
		"damaged database":  {answers(http.StatusInternalServerError, `{"message":"database is locked"}`), false},
		"half an answer":    {answers(http.StatusOK, `{"Name":"db"`), false},
		"answer of no name": {answers(http.StatusOK, `[]`), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := clientOf(t, c.answer).Inspect(t.Context(), "db")
			if err == nil || errors.Is(err, recover.ErrNoContainer) != c.none {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	if _, err := New("/nonexistent", neverWake).Inspect(t.Context(), "../x"); err == nil ||
		errors.Is(err, recover.ErrNoContainer) {
		t.Errorf("a path: %v", err)
	}
}

// TestInspectHangs asks for a container whose lock a hung start holds. Others are not held up.
func TestInspectHangs(t *testing.T) {
	t.Parallel()
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/stuck/") {
			<-r.Context().Done() // ends when the client hangs up
			return
		}
		fmt.Fprint(w, `{"Name":"db","State":{"Status":"running"}}`)
	})
	for name, ask := range map[string]func(ctx context.Context) error{
		"Inspect":        func(ctx context.Context) error { _, err := c.Inspect(ctx, "stuck"); return err },
		"StoppedByUser":  func(ctx context.Context) error { _, err := c.StoppedByUser(ctx, "stuck"); return err },
		"Binds":          func(ctx context.Context) error { _, err := c.Binds(ctx, "stuck"); return err },
		"RestartsAtBoot": func(ctx context.Context) error { _, err := c.RestartsAtBoot(ctx, "stuck"); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := ask(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, recover.ErrNoContainer) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	if s, err := c.Inspect(t.Context(), "db"); err != nil || !s.Running() {
		t.Errorf("%+v, %v", s, err)
	}
}
