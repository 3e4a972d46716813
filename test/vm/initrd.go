package vm

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// writeInitrd writes an initial RAM disk in cpio's "newc" format (see the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst). /init is the
// guest's program. /modules holds the modules, numbered in their order.
func writeInitrd(w io.Writer, program []byte, modules []string) error {
	c := cpio{w: w}
	for _, dir := range []string{"dev", "proc", "root", "modules"} {
		c.add(dir, 0o040755, nil)
	}
	c.add("init", 0o100755, program)
	for i, module := range modules {
		content, err := os.ReadFile(module)
		if err != nil {
			return err
		}
		c.add(fmt.Sprintf("modules/%02d-%s", i, filepath.Base(module)), 0o100644, content)
	}
	c.add("TRAILER!!!", 0, nil)
	return c.err
}

type cpio struct {
	w     io.Writer
	inode int
	err   error
}

func (c *cpio) add(name string, mode int, content []byte) {
	c.inode++
	c.write(fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		c.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0, name))
	c.write(content)
}

// write writes the bytes, padded to a multiple of four.
func (c *cpio) write(b []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(append(b[:len(b):len(b)], make([]byte, -len(b)&3)...))
	}
}
