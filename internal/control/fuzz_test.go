package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"archy-recovery/internal/daemon"
	"archy-recovery/internal/recover"
)

// FuzzHandlers sends arbitrary bytes as a request, from a peer that may change
// things and from one that may not.
func FuzzHandlers(f *testing.F) {
	for _, seed := range []string{
		"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /v1/user-stopped/web HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"DELETE /v1/user-stopped/a%2fb HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /v1/user-stopped/%0aERROR HTTP/1.0\r\n\r\n",
		"PUT /v1/user-stopped/.. HTTP/1.0\r\n\r\n",
		"DELETE /v1/quarantine/db HTTP/1.0\r\n\r\n",
		"GET /v1/recoveries/-1 HTTP/1.0\r\n\r\n",
		"GET /v1/recoveries/999999999999999999999 HTTP/1.0\r\n\r\n",
		"GET /v1/recoveries/last/plot HTTP/1.0\r\n\r\n",
		"GET /v1/recoveries/current/plot HTTP/1.0\r\n\r\n",
		"GET /v1/recoveries/%2e%2e/plot HTTP/1.0\r\n\r\n",
		"GET /v1/boots?n=99999999999999999999 HTTP/1.0\r\n\r\n",
		"GET /v1/plan HTTP/1.0\r\n\r\n",
		"GET /metrics HTTP/1.0\r\n\r\n",
		"POST /v1/snapshot HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
		"GET //v1//status HTTP/1.0\r\n\r\n",
		"OPTIONS * HTTP/1.0\r\n\r\n",
		"CONNECT x:1 HTTP/1.0\r\n\r\n",
		"HEAD /v1/status HTTP/1.0\r\n\r\n",
		"GET /v1/events HTTP/1.0\r\n\r\n",
		"GET http://other/v1/../metrics?x=%zz HTTP/1.0\r\n\r\n",
		"BREW /v1/status HTTP/1.0\r\n\r\n",
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, wire []byte, mayChange bool) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil {
			t.Skip("not a request")
		}
		w := running()
		w.UserStopped = []string{"old"}
		w.Quarantine = recover.Quarantine{{Name: "db", Strikes: 2, Quarantined: true}}
		w.Reports = []recover.Report{{ID: 1, BootID: "b1"}}
		service := daemon.New(worldOf(w, silent),
			recover.DefaultPolicy(), recover.Identity{BootID: "b2", PID: 50})
		const uid = 1234
		from := peer{pid: 1, uid: uid + 1}
		if mayChange {
			from.uid = uid
		}
		// The client has already left, so that an event stream ends.
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), peerKey{}, from))
		cancel()
		answer := httptest.NewRecorder()
		NewServer(service, "system", "1", uid, silent).handler().ServeHTTP(answer, r.WithContext(ctx))

		if answer.Code < 200 || answer.Code > 599 {
			t.Errorf("status %d", answer.Code)
		}
		kind, _, _ := mime.ParseMediaType(answer.Header().Get("Content-Type"))
		if answer.Code >= 400 && kind != "application/problem+json" {
			t.Errorf("status %d with Content-Type %q", answer.Code, kind)
		}
		if (kind == "application/json" || kind == "application/problem+json") && !json.Valid(answer.Body.Bytes()) {
			t.Errorf("not JSON: %q", answer.Body)
		}
		for _, name := range w.UserStopped {
			if err := recover.CheckName(name); err != nil {
				t.Error("on the user-stopped list: ", err)
			}
		}
		changed := !slices.Equal(w.UserStopped, []string{"old"}) || len(w.Quarantine) != 1
		changes := r.Method == http.MethodPut || r.Method == http.MethodDelete
		if changed && (!mayChange || answer.Code != http.StatusOK || !changes) {
			t.Errorf("%s %s of uid %d was answered %d, and changed things", r.Method, r.URL, from.uid, answer.Code)
		}
	})
}
