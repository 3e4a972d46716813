package recovertest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"

	"archy-recovery/internal/recover"
)

// Archives are the images that a host keeps.
type Archives struct{ H *Host }

// Kept lists them, all kept at the same time.
func (a Archives) Kept() (kept []recover.KeptImage, err error) {
	a.H.Mu.Lock()
	defer a.H.Mu.Unlock()
	for id, text := range a.H.Archives {
		kept = append(kept, recover.KeptImage{ID: id, Size: int64(len(text)), Kept: time.Unix(0, 0)})
	}
	return kept, a.H.WriteErr
}

// Free is ArchiveRoom.
func (a Archives) Free() (int64, error) {
	a.H.Mu.Lock()
	defer a.H.Mu.Unlock()
	return a.H.ArchiveRoom, nil
}

// Path is a file below /archives.
func (a Archives) Path(id string) string {
	a.H.Mu.Lock()
	defer a.H.Mu.Unlock()
	if _, kept := a.H.Archives[id]; !kept {
		return ""
	}
	return "/archives/" + id
}

// Open opens it.
func (a Archives) Open(id string) (io.ReadSeekCloser, error) {
	a.H.Mu.Lock()
	defer a.H.Mu.Unlock()
	text, kept := a.H.Archives[id]
	if !kept {
		return nil, fs.ErrNotExist
	}
	return struct {
		io.ReadSeeker
		io.Closer
	}{strings.NewReader(text), io.NopCloser(nil)}, nil
}

// Remove removes it.
func (a Archives) Remove(id string) error {
	a.H.Mu.Lock()
	defer a.H.Mu.Unlock()
	a.H.Say("drop %s", id)
	delete(a.H.Archives, id)
	return nil
}

// Keep keeps it, with a pause before the check.
func (a Archives) Keep(
	_ context.Context, id string, most int64, write func(io.Writer) error, check func(io.Reader) error, pause func(),
) error {
	var text bytes.Buffer
	if err := write(&text); err != nil {
		return err
	}
	if int64(text.Len()) > most {
		return recover.ErrNoRoom
	}
	pause()
	if err := check(bytes.NewReader(text.Bytes())); err != nil {
		return err
	}
	a.H.Mu.Lock()
	defer a.H.Mu.Unlock()
	if a.H.Dead {
		return errors.New("the power is off")
	}
	if a.H.Archives == nil {
		a.H.Archives = map[string]string{}
	}
	a.H.Archives[id] = text.String()
	a.H.Say("kept %s", id)
	return nil
}
