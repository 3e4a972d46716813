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

// A crowd is clients of the API, as good and as bad as they come.
type crowd struct {
	wg      sync.WaitGroup
	quit    chan struct{}
	made    atomic.Int64 // requests, and what was sent for one
	well    atomic.Int64 // answers as they should be
	wrong   sync.Map     // what was answered otherwise -> true
	pause   time.Duration
	streams []net.Conn
	mu      sync.Mutex
}

const clients = 64

// gather sends clients to a socket: an eighth each of those who follow the
// events and never read, who send junk, and who send bodies that are too large;
// the others ask for what there is. Each pauses between two requests.
func gather(socket string, pause time.Duration) *crowd {
	c := &crowd{quit: make(chan struct{}), pause: pause}
	asks := []string{"/v1/status", "/v1/plan", "/v1/recoveries", "/metrics", "/v1/user-stopped", "/v1/quarantine", "/nothing"}
	for i := range clients {
		r := rand.New(rand.NewPCG(1, uint64(i)))
		do := func() { c.ask(socket, asks[r.IntN(len(asks))]) }
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
			large := "PUT /v1/user-stopped/app000 HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" + strings.Repeat("x", 1<<20)
			do = func() { c.send(socket, large, true) }
		}
		c.wg.Go(func() {
			for {
				select {
				case <-c.quit:
					return
				case <-time.After(c.pause):
					do()
					c.made.Add(1)
				}
			}
		})
	}
	return c
}

// ask is a client that behaves.
func (c *crowd) ask(socket, path string) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		c.wrong.Store(err.Error(), true)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		c.wrong.Store(path+": "+err.Error(), true)
		return
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || (res.StatusCode != http.StatusOK) != (path == "/nothing") {
		c.wrong.Store(fmt.Sprintf("%s: %s, %v", path, res.Status, err), true)
		return
	}
	c.well.Add(1)
}

// send is a client that does not: what comes back it reads to its end, or never.
func (c *crowd) send(socket, bytes string, read bool) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		c.wrong.Store(err.Error(), true)
		return
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if read {
		defer conn.Close()
		go func() { _, _ = io.WriteString(conn, bytes) }() // it may be refused in the middle
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

func (c *crowd) leave() {
	close(c.quit)
	c.wg.Wait()
	for _, conn := range c.streams {
		conn.Close()
	}
}

// Recovery takes as long under load as without. The short run only looks that
// all is answered and nothing left: what else goes on on the machine decides how
// long it takes. Not parallel: it measures.
func TestLoadOnTheAPIDoesNotHoldUpRecovery(t *testing.T) {
	n, long := soaking(t, 300)
	pause, starts, takes := 20*time.Millisecond, 40, 20*time.Millisecond
	if long {
		n, starts, takes = 10*n, 100, 250*time.Millisecond // SOAK_N counts recoveries
		pause = 350 * time.Millisecond                     // 10,000 requests in a minute
	}
	s := newSite(t, starts, takes)
	s.policy.MinParallel, s.policy.MaxParallel = 8, 8
	s.recover(nil)
	before := use(t)
	var idle, loaded []time.Duration
	made, well, most := int64(0), int64(0), uint64(0)
	// By turns: so both see the same machine.
	for made < int64(n) && !t.Failed() {
		idle = append(idle, s.recover(nil))
		var c *crowd
		loaded = append(loaded, s.recover(func(socket string) (leave func()) {
			c = gather(socket, pause)
			return func() {
				most = max(most, use(t).rss)
				c.leave()
			}
		}))
		made, well = made+c.made.Load(), well+c.well.Load()
		c.wrong.Range(func(what, _ any) bool { t.Errorf("a client: %v", what); return true })
	}
	after := use(t)
	slower := float64(median(loaded))/float64(median(idle)) - 1
	t.Logf("%d requests of %d clients (%d answered in order) in %d recoveries of %d containers: %s without, %s with them (%+.1f %%); RSS at most %.1f MB; before: %s; after: %s",
		made, clients, well, len(loaded), starts, median(idle), median(loaded), 100*slower, float64(most)/(1<<20), before, after)
	if long && slower > 0.10 {
		t.Error("recovery is slowed by more than 10 %")
	}
	if long && most > before.rss+(64<<20) { // the race detector takes as much again
		t.Error("it takes more than 64 MB more under load")
	}
	if after.files > before.files {
		t.Error("files were left")
	}
}

func median(ds []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(ds))[len(ds)/2]
}
