package units

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A crowd is a set of API clients, some of which misbehave.
type crowd struct {
	wg         sync.WaitGroup
	quit       chan struct{}
	requests   atomic.Int64 // requests sent, valid or not
	answered   atomic.Int64 // expected answers
	unexpected sync.Map     // each unexpected answer -> true
	pause      time.Duration
	streams    []net.Conn
	mu         sync.Mutex
}

const clients = 64

// startCrowd starts the clients of a socket. An eighth each follows the events and never reads, sends junk,
// or sends bodies that are too large. The others send valid requests. Each one pauses between requests.
func startCrowd(socket string, pause time.Duration) *crowd {
	c := &crowd{quit: make(chan struct{}), pause: pause}
	paths := []string{
		"/v1/status", "/v1/plan", "/v1/recoveries", "/metrics", "/v1/user-stopped", "/v1/quarantine", "/nothing",
	}
	for i := range clients {
		r := rand.New(rand.NewPCG(1, uint64(i)))
		do := func() { c.ask(socket, paths[r.IntN(len(paths))]) }
		switch i % 8 {
		case 0:
			do = func() { c.send(socket, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n", false) }
		case 1:
			junk := make([]byte, 4096)
			for j := range junk {
				junk[j] = byte(r.Uint32())
			}
			do = func() { c.send(socket, string(junk), true) }
		case 2:
			large := "PUT /v1/user-stopped/app000 HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" +
				strings.Repeat("x", 1<<20)
			do = func() { c.send(socket, large, true) }
		}
		c.wg.Go(func() {
			for {
				select {
				case <-c.quit:
					return
				case <-time.After(c.pause):
					do()
					c.requests.Add(1)
				}
			}
		})
	}
	return c
}

// ask sends a valid request.
func (c *crowd) ask(socket, path string) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		c.unexpected.Store(err.Error(), true)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		c.unexpected.Store(path+": "+err.Error(), true)
		return
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || (res.StatusCode != http.StatusOK) != (path == "/nothing") {
		c.unexpected.Store(fmt.Sprintf("%s: %s, %v", path, res.Status, err), true)
		return
	}
	c.answered.Add(1)
}

// send sends bytes. It reads the answer to its end, or never.
func (c *crowd) send(socket, bytes string, read bool) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		c.unexpected.Store(err.Error(), true)
		return
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if read {
		defer conn.Close()
		go func() { _, _ = io.WriteString(conn, bytes) }() // the server may refuse the rest
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	_, _ = io.WriteString(conn, bytes)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams = append(c.streams, conn); len(c.streams) > 24 {
		c.streams[0].Close()
		c.streams = c.streams[1:]
	}
}

// stop ends the clients.
func (c *crowd) stop() {
	close(c.quit)
	c.wg.Wait()
	for _, conn := range c.streams {
		conn.Close()
	}
}

// TestLoadOnTheAPI checks that recovery takes as long with load on the API as without it. The short run checks
// only the answers and the leaks, since its times depend on the rest of the machine. It is not parallel,
// since it measures.
func TestLoadOnTheAPI(t *testing.T) {
	n, long := soaking(t, 300)
	pause, starts, takes := 20*time.Millisecond, 40, 20*time.Millisecond
	if long {
		n, starts, takes = 10*n, 100, 250*time.Millisecond // SOAK_N is a number of recoveries
		pause = 350 * time.Millisecond                     // 10,000 requests in a minute
	}
	s := newSite(t, starts, takes)
	s.policy.MinParallel, s.policy.MaxParallel = 8, 8
	s.recover(nil)
	before := use(t)
	var idle, loaded []time.Duration
	requests, answered, maxRSS := int64(0), int64(0), uint64(0)
	// Recoveries with and without load alternate, so that both see the same machine.
	for requests < int64(n) && !t.Failed() {
		idle = append(idle, s.recover(nil))
		var c *crowd
		loaded = append(loaded, s.recover(func(socket string) (leave func()) {
			c = startCrowd(socket, pause)
			return func() {
				maxRSS = max(maxRSS, use(t).rss)
				c.stop()
			}
		}))
		requests, answered = requests+c.requests.Load(), answered+c.answered.Load()
		c.unexpected.Range(func(answer, _ any) bool { t.Errorf("a client got: %v", answer); return true })
	}
	after := use(t)
	slower := float64(median(loaded))/float64(median(idle)) - 1
	t.Logf("%d requests of %d clients (%d with the expected answer) in %d recoveries of %d containers",
		requests, clients, answered, len(loaded), starts)
	t.Logf("recovery takes %s without them, %s with them (%+.1f %%); RSS at most %.1f MB; before: %s; after: %s",
		median(idle), median(loaded), 100*slower, float64(maxRSS)/(1<<20), before, after)
	if long && slower > 0.10 {
		t.Error("recovery is slowed by more than 10 %")
	}
	if long && maxRSS > before.rss+(64<<20) { // the race detector doubles it
		t.Error("the load takes more than 64 MB")
	}
	if after.files > before.files {
		t.Error("files are left open")
	}
}

func median(ds []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(ds))[len(ds)/2]
}
