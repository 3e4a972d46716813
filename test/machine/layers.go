package machine

import (
	"context"
	"io"
	"path/filepath"
)

// Layers returns the cached directories of a machine's disk, for other kinds of
// machines. They are the tree, and the container stores of root and of the user.
// The keys of the map are their places on the disk; "" is the root. The
// directories are shared, so callers must not write to them. The key changes
// whenever their content does.
func Layers(ctx context.Context, spec Spec, log io.Writer) (layers map[string]string, key string, err error) {
	tree, err := Tree(ctx, spec, log)
	if err != nil {
		return nil, "", err
	}
	store, err := storeDir(ctx, spec, tree, log)
	if err != nil {
		return nil, "", err
	}
	layers = map[string]string{"": tree}
	for place, name := range binds {
		layers[place] = filepath.Join(store, name)
	}
	return layers, shortHash(tree, store), nil
}
