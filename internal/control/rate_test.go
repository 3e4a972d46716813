package control

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archy-recovery/internal/daemon"
	"archy-recovery/internal/recover"
	"archy-recovery/internal/recover/recovertest"
)

// inMemory is a server without a socket, whose clock is the bubble's.
func inMemory(w *recovertest.Host) *Server {
	service := daemon.New(worldOf(w, silent),
		recover.DefaultPolicy(), recover.Identity{BootID: "b2", PID: 50, StartTime: 900})
	return NewServer(service, "system", "1.2.3", os.Getuid(), silent)
}

// A notebook writes down when events were sent, and what the last one said.
type notebook struct {
	header http.Header
	events []time.Time
	last   string
}

func (n *notebook) Header() http.Header { return n.header }
func (n *notebook) WriteHeader(int)     {}
func (n *notebook) Flush()              {}
func (n *notebook) Write(text []byte) (int, error) {
	if bytes.HasPrefix(text, []byte("event: ")) {
		n.events = append(n.events, time.Now())
		n.last = string(text)
	}
	return len(text), nil
}

// However often something changes, two events of a stream are 100 ms apart, and
// the last one tells of the last change; a change after a pause is told at once.
func TestEventsOfAStreamAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(running())
		ctx, leave := context.WithCancel(t.Context())
		n := &notebook{header: http.Header{}}
		left := make(chan struct{})
		go func() {
			s.handler().ServeHTTP(n, httptest.NewRequestWithContext(ctx, "GET", "/v1/events", nil))
			close(left)
		}()
		change := func(name string) {
			if _, err := s.service.SetUserStopped(name, true); err != nil {
				t.Fatal(err)
			}
		}
		const changes = 500
		for i := range changes { // for a second
			change("c" + strings.Repeat("x", i%100) + string(rune('a'+i/100)))
			time.Sleep(2 * time.Millisecond)
		}
		change("the-last")
		time.Sleep(time.Second)
		synctest.Wait()
		if count := len(n.events); count < 10 || count > 12 {
			t.Errorf("%d events for %d changes within a second", count, changes)
		}
		for i := range len(n.events) - 1 {
			if d := n.events[i+1].Sub(n.events[i]); d < eventEvery {
				t.Errorf("two events are %s apart", d)
			}
		}
		if !strings.Contains(n.last, `"the-last"`) {
			t.Errorf("the last event misses the last change: %s", n.last)
		}
		now := time.Now()
		change("one-more")
		synctest.Wait()
		if at := n.events[len(n.events)-1]; !at.Equal(now) {
			t.Errorf("the event after a pause came %s late", now.Sub(at))
		}
		leave()
		<-left
	})
}

// While recovery goes on, what costs is made once a second at most, for all
// clients together; it is never older than that.
func TestDearAnswersAreMadeOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		w := running()
		w.OnList = func() error { looks++; return nil }
		s := inMemory(w)
		get := func(path string) string {
			t.Helper()
			res := httptest.NewRecorder()
			s.handler().ServeHTTP(res, httptest.NewRequest("GET", path, nil))
			if res.Code != http.StatusOK {
				t.Fatalf("%s: %d %s", path, res.Code, res.Body)
			}
			return res.Body.String()
		}
		if phase := s.service.Phase(); phase == recover.Ready {
			t.Fatalf("the phase is %s", phase)
		}
		for range 100 { // ten seconds
			get("/v1/plan")
			time.Sleep(dearEvery / 10)
		}
		if looks < 9 || looks > 10 {
			t.Errorf("podman was asked %d times in ten seconds", looks)
		}

		get("/v1/recoveries")
		w.Set(func() { w.Reports = append(w.Reports, recover.Report{ID: 7}) })
		time.Sleep(dearEvery - time.Millisecond)
		if text := get("/v1/recoveries"); strings.Contains(text, `"id":7`) {
			t.Errorf("read again within a second: %s", text)
		}
		time.Sleep(time.Millisecond)
		for _, path := range []string{"/v1/recoveries", "/v1/recoveries/last"} {
			if text := get(path); !strings.Contains(text, `"id":7`) {
				t.Errorf("%s is older than a second: %s", path, text)
			}
		}
	})
}
