package podman

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/recover"
)

// many writes podman's list of n containers. Each has a label of the given length.
func many(w http.ResponseWriter, n, padding int) {
	pad := strings.Repeat("x", padding)
	fmt.Fprint(w, "[")
	for i := range n {
		if i > 0 {
			fmt.Fprint(w, ",")
		}
		fmt.Fprintf(w, `{"Id":"%064x","Names":["app%d"],"State":"running","Image":"localhost/app:1","IsInfra":false,`+
			`"Labels":{"io.archy.tier":"%d","pad":%q},"Mounts":[],"Pid":%d}`, i, i, i%100, pad, i+1)
	}
	fmt.Fprint(w, "]")
}

func TestFiveThousandContainers(t *testing.T) {
	t.Parallel()
	list, err := clientOf(t, func(w http.ResponseWriter, _ *http.Request) { many(w, 5000, 4000) }).List(t.Context())
	if err != nil || len(list) != 5000 {
		t.Fatalf("%d, %v", len(list), err)
	}
	for i, s := range list {
		if s.Name != fmt.Sprintf("app%d", i) || *s.Tier != i%100 || !s.Running() {
			t.Fatalf("the %dth is %+v", i, s)
		}
	}
}

// Not parallel: it measures memory.
func TestLargeAnswer(t *testing.T) {
	c := clientOf(t, func(w http.ResponseWriter, _ *http.Request) { many(w, 1000, 64<<10) })
	var before, after runtime.MemStats
	collect := func() { // what a sync.Pool holds goes with the second collection
		runtime.GC()
		runtime.GC()
	}
	collect()
	runtime.ReadMemStats(&before)
	if list, err := c.List(t.Context()); err == nil || list != nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("%d, %v", len(list), err)
	}
	// The server's goroutine ends a moment after the client's connection.
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		collect()
		runtime.ReadMemStats(&after)
		if after.HeapAlloc <= before.HeapAlloc+(4<<20) || time.Now().After(end) {
			break
		}
	}
	if after.HeapAlloc > before.HeapAlloc+(4<<20) {
		t.Errorf("%d bytes are kept", after.HeapAlloc-before.HeapAlloc)
	}
	// Buffers that grow by doubling, and the socket's own: a few times what is read at most.
	if all := after.TotalAlloc - before.TotalAlloc; all > 8*maxAnswer {
		t.Errorf("%d bytes were taken", all)
	}
}

func TestNameRule(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"a": true, "0": true, "a_.-": true, "A9": true, strings.Repeat("a", 255): true, "a..": true,
		"": false, ".": false, "..": false, "-a": false, "_a": false, "a b": false, "a/b": false, "a\n": false,
		"é": false, "a\x00": false, strings.Repeat("a", 256): false,
	} {
		// An invalid name has to be valid JSON too.
		list, err := clientOf(t, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `[{"Names":[%q],"State":"running"}]`, name)
		}).List(t.Context())
		if name == "a\x00" { // %q writes it as \x00, which JSON does not have
			if err == nil {
				t.Errorf("%q: %v", name, list)
			}
			continue
		}
		if err != nil || (len(list) == 1) != ok || ok != (recover.CheckName(name) == nil) {
			t.Errorf("%.20q: %d, %v", name, len(list), err)
		}
	}
}
