// Package logging makes the logger of the daemon. It writes journal entries with
// fields, or coloured lines on a terminal.
package logging

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/lmittmann/tint"
	"golang.org/x/sys/unix"
)

// New returns the logger that fits standard error. It writes journal entries with
// fields if systemd connected standard error to the journal, and lines of text
// otherwise. The lines are coloured on a terminal, unless NO_COLOR is set.
func New(level slog.Leveler) *slog.Logger {
	if direct, err := journal.StderrIsJournalStream(); err == nil && direct {
		return slog.New(NewHandler(level, journal.Send))
	}
	_, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS)
	return slog.New(tint.NewTextHandler(os.Stderr, &tint.Options{
		Level:      level,
		TimeFormat: "15:04:05.000",
		NoColor:    err != nil || os.Getenv("NO_COLOR") != "",
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == "MESSAGE_ID" { // for the journal only
				return slog.Attr{}
			}
			return a
		},
	}))
}

// SendFunc sends one entry to the journal. journal.Send of go-systemd is one.
type SendFunc func(message string, priority journal.Priority, fields map[string]string) error

// Handler is a slog.Handler that sends journal entries with fields. The attribute
// "container" becomes the field CONTAINER= (systemd.journal-fields(7)). The message
// repeats the attributes, because the short output of journalctl shows no fields.
type Handler struct {
	level  slog.Leveler
	send   SendFunc
	prefix string
	attrs  []field
}

type field struct{ key, value string }

// NewHandler returns a Handler for records of the given level and above.
func NewHandler(level slog.Leveler, send SendFunc) *Handler {
	return &Handler{level: level, send: send}
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// Handle implements slog.Handler.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	all := slices.Clone(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		all = appendAttr(all, h.prefix, a)
		return true
	})
	fields := make(map[string]string, len(all))
	message := r.Message
	for _, f := range all {
		fields[fieldName(f.key)] = f.value
		if f.key != "MESSAGE_ID" && f.value != "" {
			message += " " + f.key + "=" + quote(f.value)
		}
	}
	return h.send(message, priority(r.Level), fields)
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		next.attrs = appendAttr(next.attrs, h.prefix, a)
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	next := *h
	if name != "" {
		next.prefix += name + "_"
	}
	return &next
}

func appendAttr(to []field, prefix string, a slog.Attr) []field {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "_"
		}
		for _, member := range value.Group() {
			to = appendAttr(to, prefix, member)
		}
		return to
	}
	if a.Key == "" {
		return to
	}
	return append(to, field{prefix + a.Key, value.String()})
}

// fieldName returns the journal field for the key of an attribute. journald accepts
// upper-case letters, digits and '_', at most 64 bytes, and a letter first.
func fieldName(key string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
	name = strings.TrimLeft(name, "_0123456789")
	if name == "" {
		return "FIELD"
	}
	return name[:min(len(name), 64)]
}

func quote(value string) string {
	if strings.ContainsAny(value, " \t\n\"=") {
		return fmt.Sprintf("%q", value)
	}
	return value
}

// priority returns the syslog priority of a slog level.
func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	}
	return journal.PriDebug
}
