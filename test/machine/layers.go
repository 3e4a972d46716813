package machine

import (
	"context"
	"io"
	"path/filepath"
)

// Layers returns the cached directories that the disk of a machine of the spec
// is made of, by their places on it ("" is the root), for machines of other
// kinds: the tree, and the container stores of root and of the user. They are
// shared: nobody may write to them. The key is another one whenever anything in
// them is.
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
