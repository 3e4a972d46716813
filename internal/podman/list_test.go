package podman

import (
	_ "embed"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/google/go-cmp/cmp"
)

// podman54 is the answer of podman 5.4.2, shortened to one container of each kind:
// a plain one, the infra container and a member of a pod, one of Quadlet, and one of
// `generate systemd --new` that exited.
//
//go:embed testdata/list-5.4.2.json
var podman54 string

func TestList(t *testing.T) {
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
	const app = "localhost/app:1"
	want := []recover.Sighting{
		{
			Container: recover.Container{Name: "p1", Image: app, Health: recover.NoHealthCheck},
			ID:        "95ae9db16f1501afdba7c23af86a11143bf2fc1686a4aa4d4c653a980150730a",
			State:     "running",
		},
		{
			Container: recover.Container{Name: "c1320e77430e-infra", Image: "localhost/podman-pause:5.4.2-1766335321",
				Health: recover.NoHealthCheck},
			ID:    "92a3a0f4ed3774c798b35878d34d4d00d80d968d4cd0d763e5d25f4e8d7212ef",
			State: "running",
			Infra: true,
		},
		{
			Container: recover.Container{Name: "pc1", Image: app, Health: recover.NoHealthCheck},
			ID:        "4ec24b0c7f920f0a755fb13d39cd1ed38430c1cbc728496994292213814eb944",
			State:     "paused",
		},
		{
			Container: recover.Container{Name: "q1", Image: app, Unit: "q1.service", Tier: &one,
				Health: recover.NoHealthCheck},
			ID:    "fb7ac3a737165ba2ae2644561d2cac5734a487ff1feb6aa6328b8be1febaac03",
			State: "running",
		},
		{
			Container: recover.Container{Name: "db", Image: "docker.io/library/postgres:16", Unit: "container-db.service"},
			ID:        "62da922782157fcfe0da48631073fadf774053c92c827e2f1f4eb30bda200303",
			State:     "exited",
			ExitCode:  137,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got, want := <-asked, "GET /v4.0.0/libpod/containers/json?all=true"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestListStates(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]recover.ContainerState{
		"running": "running", "paused": "paused", "stopping": "stopping", "stopped": "stopped", "exited": "exited",
		"removing": "removing", "created": "", "configured": "", "initialized": "", "unknown": "",
	} {
		list, err := clientOf(t, answers(http.StatusOK, fmt.Sprintf(`[{"Names":["a"],"State":%q}]`, word))).List(t.Context())
		if err != nil || len(list) != 1 || list[0].State != want {
			t.Errorf("state %q is read as %+v, %v", word, list, err)
		}
	}
}

func TestListEmpty(t *testing.T) {
	t.Parallel()
	if got, err := clientOf(t, answers(http.StatusOK, "[]\n")).List(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestListInvalidNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{strings.Repeat("a", 300), "../etc", "", "a b"} {
		const body = `[{"Names":["a"],"State":"running"},{"Names":[%q],"State":"running"},{"Names":["b"],"State":"running"}]`
		got, err := clientOf(t, answers(http.StatusOK, fmt.Sprintf(body, name))).List(t.Context())
		if err != nil || len(got) != 2 || got[0].Name != "a" || got[1].Name != "b" {
			t.Errorf("beside %.20q: got %v, %v", name, got, err)
		}
	}
}

// A failure never looks like an empty list, which would mean that nothing runs.
func TestListFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"error with a message": {
			answers(http.StatusInternalServerError, `{"cause":"database is locked",`+
				`"message":"listing containers: database is locked","response":500}`),
			"500 Internal Server Error: listing containers: database is locked"},
		"error without a message":   {answers(http.StatusBadGateway, "<html>"), "502 Bad Gateway"},
		"half an answer":            {answers(http.StatusOK, podman54[:len(podman54)/2]), "cannot be read"},
		"answer cut off at a comma": {answers(http.StatusOK, `[{"Names":["a"]},`), "cannot be read"},
		"empty answer":              {answers(http.StatusOK, ""), "cannot be read"},
		"answer of another kind":    {answers(http.StatusOK, `{"containers":[]}`), "cannot be read"},
		"container without a name":  {answers(http.StatusOK, `[{"Names":[],"State":"running"}]`), "no name"},
		"broken connection": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`[{"Names":["a"]`))
			panic(http.ErrAbortHandler)
		}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := clientOf(t, c.answer).List(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "podman") {
				t.Errorf("got %v, %v; should say %q", got, err, c.says)
			}
		})
	}
}
