package recover

import (
	"path"
	"strings"
)

// Below reports whether a path is a directory, or lies under it, by their names alone.
func Below(p, directory string) bool {
	p, directory = path.Clean(p), path.Clean(directory)
	return p == directory || strings.HasPrefix(p, strings.TrimSuffix(directory, "/")+"/")
}
