// Command testapp is the program of all containers in the machine tests. It
// starts, fails, hangs and stops as its flags say.
//
// It is static, and the only file of its image. As PID 1 of its container it must
// handle SIGTERM: the kernel delivers no signal to a PID 1 without a handler.
//
// Exit status: 0 after SIGTERM. 1 if a flag asked for the failure, or if what
// -needs names is not there. 2 for a wrong flag, or for a state directory or
// notify socket that cannot be used.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	readyAfter := flag.Duration("ready-after", 0, "send READY=1 to $NOTIFY_SOCKET after `delay`")
	neverReady := flag.Bool("never-ready", false, "never send READY=1")
	failTimes := flag.Int("fail-times", 0, "exit 1 on the first `N` starts (needs -state)")
	stateDir := flag.String("state", "", "count the starts in the file starts of `dir`")
	exitAfter := flag.Duration("exit-after", 0, "exit 1 `delay` after becoming ready")
	ignoreTerm := flag.Bool("ignore-term", false, "ignore SIGTERM")
	burn := flag.Duration("burn", 0, "use this much CPU `time` before becoming ready")
	hog := flag.Int("hog", 0, "hold `MB` of memory during -burn")
	serve := flag.String("serve", "", "when ready, listen on the abstract unix socket `name`")
	needs := flag.String("needs", "", "exit 1 if no process listens on the abstract unix socket `name`")
	tcp := flag.String("tcp", "", "when ready, answer each connection to the TCP `[address:]port` with a line")
	ask := flag.String("ask", "", "only print what the TCP `host:port` answers, and exit 1 without an answer")
	crashes := flag.String("crashes", "", "append a line to `file` before the exit of -needs")
	checkAge := flag.Duration("check-age", 0, "do a health check only: exit 0 if PID 1 has run for `age`, else 1")
	flag.Parse()
	if *checkAge > 0 {
		age, err := ageOfInit()
		if err != nil {
			fatal(err)
		}
		if age < *checkAge {
			os.Exit(1)
		}
		return
	}

	if *ask != "" {
		if err := printAnswer(*ask); err != nil {
			fmt.Println("testapp:", err)
			os.Exit(1)
		}
		return
	}

	// The handler comes first, so that no SIGTERM is lost while the start is
	// counted.
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGINT)
	if *ignoreTerm {
		term = nil
	}

	starts := 1
	if *stateDir != "" {
		var err error
		if starts, err = countStart(filepath.Join(*stateDir, "starts")); err != nil {
			fatal(err)
		}
	} else if *failTimes > 0 {
		fatal(errors.New("-fail-times needs -state"))
	}
	fmt.Printf("testapp: start %d\n", starts)
	if starts <= *failTimes {
		fmt.Printf("testapp: failing as -fail-times=%d says\n", *failTimes)
		os.Exit(1)
	}

	if *needs != "" && !listens(*needs) {
		if err := addLine(*crashes, *serve); err != nil {
			fatal(err)
		}
		fmt.Printf("testapp: %s is not ready\n", *needs)
		os.Exit(1)
	}

	useCPU(*burn, *hog)

	// A receive from a nil channel never happens.
	var ready, exit <-chan time.Time
	if !*neverReady {
		ready = time.After(*readyAfter)
	}
	for {
		select {
		case <-ready:
			// The socket comes first: a process that sees READY=1 may connect at once.
			if err := errors.Join(listen(*serve), answer(*tcp)); err != nil {
				fatal(err)
			}
			if err := notify("READY=1"); err != nil {
				fatal(err)
			}
			fmt.Println("testapp: ready")
			ready = nil
			if *exitAfter > 0 {
				exit = time.After(*exitAfter)
			}
		case <-exit:
			fmt.Println("testapp: exiting as -exit-after says")
			os.Exit(1)
		case <-term:
			fmt.Println("testapp: stopped")
			os.Exit(0)
		}
	}
}

// countStart adds one to the number in the file and returns the new number. A
// missing file counts as zero. The write is synced, so that the count survives a
// power failure.
func countStart(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	n := 0
	if s := strings.TrimSpace(string(text)); s != "" {
		if n, err = strconv.Atoi(s); err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
	}
	n++
	f, err := os.Create(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, n); err != nil {
		return 0, err
	}
	return n, f.Sync()
}

// useCPU acts like a database that starts: it uses the CPU, and touches all of its
// memory again and again.
func useCPU(cpu time.Duration, mb int) {
	memory := make([]byte, mb<<20)
	n := 0
	for used := time.Duration(0); used < cpu; {
		for i := 0; i < len(memory); i += 4096 {
			memory[i]++
		}
		for i := range 1_000_000 {
			n += i * i
		}
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			fatal(err)
		}
		used = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	runtime.KeepAlive(n) // without this, the compiler may remove the loop
	debug.FreeOSMemory()
}

// listens reports whether a process listens on the abstract socket.
func listens(name string) bool {
	conn, err := net.Dial("unix", "@"+name)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// listen listens on the abstract socket until the program ends, and closes each
// connection. Containers that share the host's network see the socket, as does
// the host.
func listen(name string) error {
	if name == "" {
		return nil
	}
	return serve("unix", "@"+name, "")
}

// answer answers on the port of all addresses until the program ends.
func answer(port string) error {
	if port == "" {
		return nil
	}
	if !strings.Contains(port, ":") {
		port = ":" + port
	}
	return serve("tcp", port, "testapp answers\n")
}

// serve says something on each connection to an address and closes it, until the program ends.
func serve(network, address, says string) error {
	l, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(says)) // whoever asks notices
			conn.Close()
		}
	}()
	return nil
}

// printAnswer prints what the program at the address answers.
func printAnswer(address string) error {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	text, err := io.ReadAll(conn)
	if err == nil && len(text) == 0 {
		err = fmt.Errorf("%s has closed the connection without an answer", address)
	}
	fmt.Print(string(text))
	return err
}

// addLine appends a line to a file that several programs write.
func addLine(file, line string) error {
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, line)
	return err
}

// ageOfInit returns how long the container's main process has run.
func ageOfInit() (time.Duration, error) {
	info, err := os.Stat("/proc/1")
	if err != nil {
		return 0, err
	}
	return time.Since(info.ModTime()), nil
}

// notify sends one message to $NOTIFY_SOCKET. It does nothing if that is not set.
func notify(message string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(message))
	return err
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "testapp:", err)
	os.Exit(2)
}
