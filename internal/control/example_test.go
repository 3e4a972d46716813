package control_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"
)

// A program asks the daemon of the system instance whether every container
// runs again.
func ExampleClient() {
	socket, stop := stubDaemon() // in a program: "/run/archy-recovery/control.sock"
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	status, err := control.NewClient(socket).Status(ctx)
	if err != nil {
		log.Fatal(err) // the daemon's own words, or why there is no connection
	}
	fmt.Println(status.State, status.Verdict.Cause)
	for _, row := range status.NotRecovered() {
		fmt.Printf("%s: %s\n", row.Name, row.Error)
	}
	// Output:
	// ready power-loss
	// web: not up within 2m0s
}

// A health monitor waits until recovery is complete.
func ExampleClient_Follow() {
	socket, stop := stubDaemon() // in a program: "/run/archy-recovery/control.sock"
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := control.NewClient(socket).Follow(ctx, func(status control.Status) bool {
		fmt.Println(status.Progress)
		return !status.RecoveryComplete // false ends Follow
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// tier 0: 1 of 2 started
	// complete with 1 failed: 1 of 2 containers run
}

// stubDaemon answers like the daemon after a power loss. It returns its socket.
func stubDaemon() (socket string, stop func()) {
	status := control.Status{
		State:            recover.Ready,
		RecoveryComplete: true,
		Progress:         "complete with 1 failed: 1 of 2 containers run",
		Verdict:          recover.Verdict{Ending: recover.HostCrashed, Cause: recover.CausePowerLoss},
		Containers: []recover.Row{
			{Name: "db", State: recover.RowUp},
			{Name: "web", State: recover.RowFailed, Error: "not up within 2m0s"},
		},
	}
	underWay := control.Status{State: recover.Recovering, Progress: "tier 0: 1 of 2 started"}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(status)
	})
	mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, _ *http.Request) {
		for _, st := range []control.Status{underWay, status} {
			data, _ := json.Marshal(st)
			fmt.Fprintf(w, "event: status\ndata: %s\n\n", data)
		}
	})
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		log.Fatal(err)
	}
	socket = filepath.Join(dir, "control.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	served := make(chan struct{})
	go func() {
		_ = server.Serve(listener)
		close(served)
	}()
	return socket, func() {
		_ = server.Close()
		<-served
		_ = os.RemoveAll(dir)
	}
}
