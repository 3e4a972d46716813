package podman

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"archy-recovery/internal/recover"

	"github.com/coreos/go-systemd/v22/unit"
)

// spoken returns a client whose podman answers each request with the same bytes. No
// socket is between them.
func spoken(version string, body []byte) *Client {
	c := New("/nonexistent", neverWake)
	c.http.Transport = roundTripper(func(*http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		w.Header().Set("Libpod-API-Version", version)
		_, _ = w.Write(body)
		return w.Result(), nil
	})
	return c
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func FuzzList(f *testing.F) {
	for _, seed := range []string{
		podman54, "[]", "null", "{}", "[null]", `[{"Names":null}]`, `[{"Names":[""]}]`,
		`[{"Names":["a","../b"],"State":"running"}]`,
		`[{"Names":["a"],"Labels":{"io.archy.tier":"-1","PODMAN_SYSTEMD_UNIT":"../x"}}]`,
		`[{"names":["a"],"NAMES":["b"]}]`, `[{"Names":["a"]}]trailing`, `[{"Names":["a"]},`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		list, err := spoken("5.4.2", body).List(t.Context())
		if err != nil {
			if list != nil {
				t.Errorf("%v, and %v", list, err)
			}
			return
		}
		if list == nil {
			t.Error("no list, and no error")
		}
		for _, s := range list {
			if err := recover.CheckName(s.Name); err != nil {
				t.Error("accepted: ", err)
			}
			if s.Tier != nil && (*s.Tier < 0 || *s.Tier > recover.MaxTier) {
				t.Errorf("tier %d", *s.Tier)
			}
		}
	})
}

func FuzzInspect(f *testing.F) {
	for _, seed := range []string{
		`{"Name":"a","State":{"StoppedByUser":true,"ExitCode":137},"Mounts":[{"Type":"bind","Source":"/mnt"}]}`,
		`{"State":null,"Mounts":null}`, "null", "[]", `{"State":{"StoppedByUser":1}}`,
		`{"Name":"a","State":{"ExitCode":143,"OOMKilled":true}}`, `{"Name":"a","Mounts":[null,{"Type":"bind"}]}`, `{"Id":5}`,
	} {
		f.Add("4.3.1", []byte(seed))
		f.Add("5.4.2", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, version string, body []byte) {
		c := spoken(version, body)
		// An error never says that a container was stopped.
		if stopped, err := c.StoppedByUser(t.Context(), "a"); stopped && err != nil {
			t.Errorf("%v, and %v", stopped, err)
		}
		if binds, err := c.Binds(t.Context(), "a"); err == nil && len(binds) > len(body) {
			t.Errorf("%d binds of %d bytes", len(binds), len(body))
		}
		if id, err := c.ImageID(t.Context(), "a"); err != nil && id != "" {
			t.Errorf("%q, and %v", id, err)
		}
	})
}

func FuzzGenerateUnit(f *testing.F) {
	for _, seed := range []string{
		"", "[Service]\nExecStart=/usr/bin/podman start a\n",
		"[Unit]\nDescription=a \\\n b\n[Service]\nType=forking\nRestart=always\nExecStart=a\nExecStart=b\nPIDFile=x\n" +
			"[Install]\nWantedBy=default.target\n",
		"[Unit]\nDescription=a\\\n[Service]\nExecStartPre=b\n[Service]\nExecStart=c\n", "ExecStart=x",
		"[Service\nExecStart=x", "[Service]\nExecStart=", "[Service]\n=x\nExecStart=x", "[ Service ]\nExecStart=x",
		"[Service]\nExecStart=a\\", "[Service]\nExecStart=a\\\n# no comment\nb\n", "[Service]\rExecStart=x\n",
		"[Service]\nExecStart=a\n[X]\nExecStop=b\n", "[Service]\nExecStart=" + strings.Repeat("x", 3000),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		body, err := json.Marshal(map[string]string{"container-a": text})
		if err != nil {
			t.Fatal(err)
		}
		name, got, err := spoken("5.4.2", body).GenerateUnit(t.Context(), "a")
		if err != nil {
			if name != "" || got != "" {
				t.Errorf("%q, %q, and %v", name, got, err)
			}
			return
		}
		options, err := unit.DeserializeOptions(strings.NewReader(got))
		if err != nil {
			t.Fatalf("of %q came %q: %v", text, got, err)
		}
		starts := 0
		for _, o := range options {
			switch {
			case o.Section == "Unit":
			case o.Section != "Service":
				t.Errorf("of %q came a section %q", text, o.Section)
			case o.Name == "ExecStart":
				starts++
			case o.Name == "Type" && o.Value == "oneshot", o.Name == "KillMode" && o.Value == "process":
			default:
				t.Errorf("of %q came %s=%s", text, o.Name, o.Value)
			}
		}
		if starts == 0 {
			t.Errorf("of %q came %q, which starts nothing", text, got)
		}
		if again, err := new(Client).onlyStart(got, "a"); err != nil || again != got {
			t.Errorf("%q became %q, %v", got, again, err)
		}
	})
}
