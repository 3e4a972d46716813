// Command testapp is what the containers of the machine tests run: a program
// that starts, fails, hangs and stops just as its flags say.
//
// It is built static and is the only file of its image, so it is PID 1 of its
// container and has to treat SIGTERM itself: the kernel delivers no signal to
// a PID 1 that has no handler for it.
//
// Exit status: 0 after SIGTERM, 1 for a start that was told to fail or lacked
// what it needs, 2 for bad
// flags or a state directory or notify socket that cannot be used.
package main

import (
	"errors"
	"flag"
	"fmt"
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
	burn := flag.Duration("burn", 0, "first be busy until this much CPU `time` is used")
	hog := flag.Int("hog", 0, "and hold `MB` of memory meanwhile")
	serve := flag.String("serve", "", "when ready, listen on the abstract unix socket `name`")
	needs := flag.String("needs", "", "exit 1 unless somebody listens on the abstract unix socket `name`")
	crashes := flag.String("crashes", "", "add a line to `file` before that exit")
	checkAge := flag.Duration("check-age", 0, "be a health check: exit 0 if PID 1 has run for `age`, else 1")
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

	// The handler comes first: a SIGTERM that arrives while we are still
	// counting starts must not be lost.
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
		fmt.Printf("testapp: told to fail %d times\n", *failTimes)
		os.Exit(1)
	}

	if *needs != "" && !listens(*needs) {
		if err := addLine(*crashes, *serve); err != nil {
			fatal(err)
		}
		fmt.Printf("testapp: %s is not ready\n", *needs)
		os.Exit(1)
	}

	beBusy(*burn, *hog)

	// A nil channel is never ready: what was not asked for does not happen.
	var ready, exit <-chan time.Time
	if !*neverReady {
		ready = time.After(*readyAfter)
	}
	for {
		select {
		case <-ready:
			// The socket first: who was told that we are ready may look for it.
			if err := listen(*serve); err != nil {
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
			fmt.Println("testapp: told to exit")
			os.Exit(1)
		case <-term:
			fmt.Println("testapp: stopped")
			os.Exit(0)
		}
	}
}

// countStart adds one to the number in the file and returns the new number. A
// file that does not exist counts as zero. The write is synced, so that the
// count survives the machine's plug being pulled.
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

// beBusy is what a database does when it starts: it uses the CPU, and goes
// through memory again and again.
func beBusy(cpu time.Duration, mb int) {
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
	runtime.KeepAlive(n) // or the compiler might leave the work out
	debug.FreeOSMemory()
}

// listens reports whether somebody listens on the abstract socket.
func listens(name string) bool {
	conn, err := net.Dial("unix", "@"+name)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// listen listens on the abstract socket until the program ends, and answers
// nobody. Where containers share the host's network, others of them and the
// host see it.
func listen(name string) error {
	if name == "" {
		return nil
	}
	l, err := net.Listen("unix", "@"+name)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return nil
}

// addLine adds a line to a file that several programs write to.
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

// ageOfInit is how long the container's main process has run.
func ageOfInit() (time.Duration, error) {
	info, err := os.Stat("/proc/1")
	if err != nil {
		return 0, err
	}
	return time.Since(info.ModTime()), nil
}

// notify sends one message to $NOTIFY_SOCKET, and does nothing where there is
// none.
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
