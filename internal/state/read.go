package state

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxFileSize bounds what is read of a file, in bytes.
const maxFileSize = 16 << 20

// read returns the content of a file.
func (d *directory) read(name string) ([]byte, error) { return readRegular(d.file(name)) }

// readRegular returns the content of a regular file. It does not wait for the writer of a pipe.
//
// It follows no symbolic link. The directory may belong to a user who may read less than this
// process. A link to a secret would be damage, and its copy is readable for every user.
func readRegular(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err == nil && len(content) > maxFileSize {
		return nil, fmt.Errorf("%s is larger than %d bytes, the most that is read", path, maxFileSize)
	}
	return content, err
}
