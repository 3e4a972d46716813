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

// inMemory is a server without a socket, for a synctest bubble.
func inMemory(w *recovertest.Host) *Server {
	service := daemon.New(worldOf(w, silent),
		recover.DefaultPolicy(), recover.Identity{BootID: "b2", PID: 50, StartTime: 900})
	return NewServer(service, "system", "1.2.3", os.Getuid(), silent)
}

// An eventRecorder records when events were sent, and the last event.
type eventRecorder struct {
	header http.Header
	events []time.Time
	last   string
}

func (n *eventRecorder) Header() http.Header { return n.header }
func (n *eventRecorder) WriteHeader(int)     {}
func (n *eventRecorder) Flush()              {}
func (n *eventRecorder) Write(text []byte) (int, error) {
	if bytes.HasPrefix(text, []byte("event: ")) {
		n.events = append(n.events, time.Now())
		n.last = string(text)
	}
	return len(text), nil
}

// Two events of a stream are at least eventInterval apart, however often the
// status changes. The last event has the last change. After a pause an event is
// sent at once.
func TestEventInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(running())
		ctx, leave := context.WithCancel(t.Context())
		n := &eventRecorder{header: http.Header{}}
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
		for i := range changes { // in one second
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
			if d := n.events[i+1].Sub(n.events[i]); d < eventInterval {
				t.Errorf("two events are only %s apart", d)
			}
		}
		if !strings.Contains(n.last, `"the-last"`) {
			t.Errorf("the last event lacks the last change: %s", n.last)
		}
		now := time.Now()
		change("one-more")
		synctest.Wait()
		if at := n.events[len(n.events)-1]; !at.Equal(now) {
			t.Errorf("the event after a pause was not sent at once: %s", now.Sub(at))
		}
		leave()
		<-left
	})
}

// During recovery an expensive value is computed at most once in
// throttleInterval for all clients together, and is never older than that.
func TestThrottleDuringRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		w := running()
		w.OnList = func() error { looks++; return nil }
		s := inMemory(w)
		get := func(path string) string {
			t.Helper()
			res := httptest.NewRecorder()
			s.handler().ServeHTTP(res, httptest.NewRequest(http.MethodGet, path, nil))
			if res.Code != http.StatusOK {
				t.Fatalf("%s: %d %s", path, res.Code, res.Body)
			}
			return res.Body.String()
		}
		if phase := s.service.Phase(); phase == recover.Ready {
			t.Fatalf("the phase is %s", phase)
		}
		for range 100 { // 10 s
			get("/v1/plan")
			time.Sleep(throttleInterval / 10)
		}
		if looks < 9 || looks > 10 {
			t.Errorf("podman was asked %d times in ten seconds", looks)
		}

		get("/v1/recoveries")
		w.Set(func() { w.Reports = append(w.Reports, recover.Report{ID: 7}) })
		time.Sleep(throttleInterval - time.Millisecond)
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
