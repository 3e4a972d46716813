package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"archy-recovery/internal/control"
	"archy-recovery/internal/recover"

	"golang.org/x/sys/unix"
)

// newTerminal returns a terminal of a width (pty(7)). shown closes it and returns
// all that was written to it.
func newTerminal(t *testing.T, width uint16) (tty *os.File, shown func() string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("this machine has no terminals: ", err)
	}
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: 24})
	}
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		t.Skip("this machine has no terminals: ", err)
	}
	text := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(master) // ends with EIO when tty is closed
		text <- string(all)
	}()
	return tty, func() string {
		tty.Close()
		defer master.Close()
		return <-text
	}
}

// A picture or a page is not written to a terminal, and the error says what to do
// instead.
func TestTerminalRefusesPictures(t *testing.T) {
	for args, want := range map[string]string{
		"plot":          "archy-recovery plot > recovery.svg",
		"report --html": "archy-recovery report --html > recovery.html",
	} {
		tty, shown := newTerminal(t, 80)
		var stderr bytes.Buffer
		code := testProgram.Run(append([]string{"--uid", "4242"}, strings.Fields(args)...), tty, &stderr)
		if code != ExitUsage || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: exit code %d, %q", args, code, stderr.String())
		}
		if text := shown(); text != "" {
			t.Errorf("%s: shown %q", args, text)
		}
	}
}

// waitOn runs wait with standard error on a terminal of a width.
func waitOn(t *testing.T, width uint16) (stdout, shown string) {
	t.Helper()
	begin := time.Now()
	row := recover.Row{Name: "a-database-with-a-name-that-is-too-long-for-it", State: recover.RowStarting,
		Queued: begin, Attempts: []recover.Attempt{{Started: begin}}}
	going := control.Status{State: recover.Recovering, Started: begin, Containers: []recover.Row{row}}
	done := going
	done.RecoveryComplete, done.Finished = true, begin.Add(time.Second)
	done.Progress = "complete: 1 containers run, 1 of them started"
	row.State, row.Attempts = recover.RowUp, []recover.Attempt{{Started: begin, Ended: begin.Add(time.Second)}}
	done.Containers = []recover.Row{row}
	before := row
	before.Attempts = []recover.Attempt{{Started: begin, Ended: begin.Add(3 * time.Second)}}
	past := recover.Report{Started: begin, Finished: begin.Add(3 * time.Second), Rows: []recover.Row{before}}
	fakeDaemon(t, map[string]any{
		"events":     []control.Status{going, done},
		"recoveries": control.Recoveries{Recoveries: []recover.Report{past}},
	})
	tty, text := newTerminal(t, width)
	var out bytes.Buffer
	if code := testProgram.Run([]string{"--uid", "4242", "wait"}, &out, tty); code != ExitOK {
		t.Errorf("exit code %d", code)
	}
	return out.String(), text()
}

func TestWaitTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	stdout, shown := waitOn(t, 60)
	if stdout != "recovery complete: 1 containers run, 1 of them started\n" {
		t.Errorf("stdout %q", stdout)
	}
	for _, want := range []string{"▸", "0/1 up", "a-database-with-", "\x1b[2A", "✓", "1/1 up", "\x1b[1m"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not in %q", want, shown)
		}
	}
}

func TestWaitTerminalSettings(t *testing.T) {
	t.Run("narrow", func(t *testing.T) {
		t.Setenv("TERM", "xterm")
		_, wide := waitOn(t, 70)
		_, narrow := waitOn(t, 40)
		if !strings.Contains(wide, "of about 3s") ||
			strings.Contains(narrow, "of about") || !strings.Contains(narrow, "a-database") {
			t.Errorf("shown in 70 columns\n%q, in 40\n%q", wide, narrow)
		}
	})
	t.Run("NO_COLOR", func(t *testing.T) {
		t.Setenv("TERM", "xterm")
		t.Setenv("NO_COLOR", "1")
		if _, shown := waitOn(t, 60); !strings.Contains(shown, "1/1 up") || strings.Contains(shown, "\x1b[1m") {
			t.Errorf("shown %q", shown)
		}
	})
	t.Run("TERM=dumb", func(t *testing.T) {
		t.Setenv("TERM", "dumb")
		if _, shown := waitOn(t, 60); shown != "" {
			t.Errorf("shown %q", shown)
		}
	})
}

func TestStatusFollow(t *testing.T) {
	row := recover.Row{Name: "db", State: recover.RowStarting}
	going := control.Status{State: recover.Recovering, Containers: []recover.Row{row}}
	done := going
	done.State = recover.Ready
	fakeDaemon(t, map[string]any{"events": []control.Status{going, done}, "ends": true})

	t.Setenv("TERM", "xterm")
	tty, shown := newTerminal(t, 60)
	var stderr bytes.Buffer
	code := testProgram.Run([]string{"--uid", "4242", "status", "--follow"}, tty, &stderr)
	text := shown()
	if strings.Count(text, "A\rarchy-recovery (") != 1 || !strings.Contains(text, "ready") {
		t.Errorf("on a terminal: shown %q", text)
	}
	want := "has ended meanwhile: see systemctl status archy-recovery@4242.service"
	if code != ExitFailure || !strings.Contains(stderr.String(), want) {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
	_, stdout, _ := runVerb(t, "status", "--follow")
	if strings.Contains(stdout, "\x1b") || strings.Count(stdout, "archy-recovery (") != 2 {
		t.Errorf("elsewhere: %q", stdout)
	}
}
