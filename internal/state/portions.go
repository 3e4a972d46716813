package state

import (
	"context"
	"fmt"
	"os"

	"archy-recovery/internal/recover"

	"golang.org/x/sys/unix"
)

// portions writes an archive so that others hardly notice: each portion goes to the disk before the
// next one is taken, and leaves the page cache.
type portions struct {
	ctx      context.Context
	archives *Archives
	file     *os.File
	left     int64 // what it may still have
	waiting  int64 // what was written since the last flush
	pause    func()
}

// Write implements io.Writer.
func (p *portions) Write(b []byte) (int, error) {
	if p.left -= int64(len(b)); p.left < 0 {
		return 0, fmt.Errorf("%w: it is larger than what is left of KeepImagesMax=", recover.ErrNoRoom)
	}
	if p.waiting == 0 {
		switch free, err := p.archives.Free(); {
		case err != nil:
			return 0, err
		case free < min(p.left, portion):
			return 0, fmt.Errorf("%w: the disk is about to be full", recover.ErrNoRoom)
		}
	}
	n, err := p.file.Write(b)
	if err != nil {
		return n, p.archives.dir.cannotWrite(archiveDir, err)
	}
	if p.waiting += int64(n); p.waiting < portion {
		return n, nil
	}
	if err := p.flush(); err != nil {
		return n, p.archives.dir.cannotWrite(archiveDir, err)
	}
	p.pause()
	return n, p.ctx.Err()
}

// flush has what was written reach the disk.
func (p *portions) flush() error {
	p.waiting = 0
	if err := p.file.Sync(); err != nil {
		return err
	}
	forget(p.file)
	return nil
}

// forget drops a file that was synced from the page cache. So a check reads what the disk has, and
// what others read stays there.
func forget(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }

// paused reads an archive in portions.
type paused struct {
	ctx   context.Context
	file  *os.File
	since int64 // what was read since the last pause
	pause func()
}

// Read implements io.Reader.
func (p *paused) Read(b []byte) (int, error) {
	n, err := p.file.Read(b)
	if p.since += int64(n); p.since >= portion {
		p.since = 0
		forget(p.file)
		p.pause()
		if p.ctx.Err() != nil {
			return n, p.ctx.Err()
		}
	}
	return n, err
}
