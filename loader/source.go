package loader

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Source is where a model's files come from. Name is "manifest.json" or a
// chunk's file name, never a path. A failure may be a [*StatusError]; a
// missing file should wrap fs.ErrNotExist. Open and the reader it returns
// stop soon after ctx ends.
type Source interface {
	Open(ctx context.Context, name string) (io.ReadCloser, error)
}

// Refresher is a [Source] with a cache of its own in front (a browser's HTTP
// cache): OpenFresh goes round it, for a file that arrived wrong.
type Refresher interface {
	OpenFresh(ctx context.Context, name string) (io.ReadCloser, error)
}

// Dir is a model directory on disk.
type Dir string

// Open opens the named file of the directory.
func (d Dir) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if name == "." || name != filepath.Base(name) || !fs.ValidPath(name) {
		return nil, fmt.Errorf("%q: %w", name, fs.ErrInvalid)
	}
	return os.Open(filepath.Join(string(d), name))
}
