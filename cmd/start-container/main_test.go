package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's program be the command.
func TestMain(m *testing.M) {
	if os.Getenv("BE_START_CONTAINER") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// run executes the command with a podman that answers by h, nil for none. podman, the
// command after SOCKET, prints that it was called and exits with 125.
func run(t *testing.T, h http.HandlerFunc) (said string, code int) {
	t.Helper()
	dir, err := os.MkdirTemp("", "start")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, podman := filepath.Join(dir, "s"), filepath.Join(dir, "podman")
	if err := os.WriteFile(podman, []byte("#!/bin/sh\necho \"podman $*\"\nexit 125\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if h != nil {
		l, err := new(net.ListenConfig).Listen(context.Background(), "unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(h)
		server.Listener.Close()
		server.Listener = l
		server.Start()
		t.Cleanup(server.Close)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], socket, podman, "start", "web")
	cmd.Env = append(os.Environ(), "BE_START_CONTAINER=1")
	out, _ := cmd.CombinedOutput() // the exit status is returned
	return string(out), cmd.ProcessState.ExitCode()
}

func TestPodmansServiceStarts(t *testing.T) {
	for name, status := range map[string]int{"started": http.StatusNoContent, "it runs already": http.StatusNotModified} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan string, 4)
			said, code := run(t, func(w http.ResponseWriter, r *http.Request) {
				asked <- r.Method + " " + r.URL.Path
				if r.Method == http.MethodPost {
					w.WriteHeader(status)
				}
			})
			if code != 0 || said != "" {
				t.Errorf("exit status %d, said %q", code, said)
			}
			for _, want := range []string{"GET /v4.0.0/libpod/_ping", "POST /v4.0.0/libpod/containers/web/start"} {
				if got := <-asked; got != want {
					t.Errorf("asked %q, want %q", got, want)
				}
			}
		})
	}
}

// Whatever keeps podman's service from it: podman start has the last word.
func TestPodmanStartsItself(t *testing.T) {
	fail := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				h(w, r)
			}
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"no service": nil,
		"service refuses": fail(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"message":"no such file"}`, http.StatusInternalServerError)
		}),
		"service dies":      fail(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"another service":   http.NotFound,
		"service is killed": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			said, code := run(t, h)
			if code != 125 || !strings.Contains(said, "\npodman start web\n") {
				t.Errorf("exit status %d, said %q", code, said)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "/socket")
	cmd.Env = append(os.Environ(), "BE_START_CONTAINER=1")
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "usage: start-container SOCKET") {
		t.Errorf("%s: %s", cmd.ProcessState, out)
	}
}

// A podman that hangs holds a question up for a bounded time.
func TestPodmanHangs(t *testing.T) {
	dir, err := os.MkdirTemp("", "start")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket) // the kernel accepts, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	err = ask(socket, "GET", "_ping", 20*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "did not answer within 20ms") {
		t.Errorf("got %v", err)
	}
}

// What is no name of podman's would be another path.
func TestNoName(t *testing.T) {
	if err := start("/nonexistent", "a/../b"); err == nil || !strings.Contains(err.Error(), "another path") {
		t.Errorf("got %v", err)
	}
}
