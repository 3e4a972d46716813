package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// Bounds of one run of journalctl: its time, and how much of its output is read. An
// idle machine needs a few milliseconds. A slow one needs several seconds while it
// boots and starts all its services.
const (
	readTime  = 10 * time.Second
	maxOutput = 16 << 20
	maxEntry  = 1 << 20
)

// errTooMuch means that journalctl has more to print than is read.
var errTooMuch = fmt.Errorf("journalctl prints more than %d MiB, of which the first are read", maxOutput>>20)

// run runs journalctl for at most limit and gives its output to read, up to maxOutput.
// read reports whether it read the whole output; if not, or if there is more, run ends
// journalctl. The error is that of read, or says how journalctl failed.
func run(ctx context.Context, limit time.Duration, args []string, read func(io.Reader) (whole bool, err error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "journalctl", append([]string{"--quiet", "--no-pager"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &limited{w: &stderr, left: 4096}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot run journalctl: %w", err)
	}
	// A failing disk can hold journalctl in the kernel. It then cannot be killed and
	// keeps the pipe open, but its caller must not wait for it.
	cmd.WaitDelay = time.Second
	defer context.AfterFunc(ctx, func() { out.Close() })()
	whole, err := read(&bounded{r: out, left: maxOutput})
	if !whole || errors.Is(err, errTooMuch) { // else both would wait: we for its end, and it for the full pipe
		if late := ctx.Err(); err != nil && late != nil {
			err = fmt.Errorf("journalctl: %w", late) // the error of the pipe only follows from that
		}
		cancel()       // journalctl may still be writing
		_ = cmd.Wait() // its status says only that it was killed
		return err
	}
	if waitErr := cmd.Wait(); waitErr != nil { // it explains an error of read, too
		err = fmt.Errorf("journalctl: %w: %s", waitErr, strings.TrimSpace(stderr.String()))
	}
	if ctx.Err() != nil {
		err = errors.Join(ctx.Err(), err)
	}
	return err
}

// bounded reads the first bytes of r. What would read more gets errTooMuch.
type bounded struct {
	r    io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errTooMuch
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// limited keeps the first bytes that are written to it and drops the rest.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	keep := p[:min(len(p), l.left)]
	l.left -= len(keep)
	if _, err := l.w.Write(keep); err != nil {
		return 0, err
	}
	return len(p), nil
}
