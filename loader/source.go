package loader

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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

// Located is a [Source] with an address, under which a [Library] finds the
// manifest again when there is no network.
type Located interface{ Location() string }

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

// SplitAddress splits a model's address from the pin that may follow it:
// "https://host/model/#sha256=<hex>" with the manifest's SHA-256.
func SplitAddress(address string) (base, manifestSHA256 string, err error) {
	base, fragment, ok := strings.Cut(address, "#")
	if !ok || fragment == "" {
		return base, "", nil
	}
	pin, ok := strings.CutPrefix(fragment, "sha256=")
	if !ok || !isHash(pin) {
		return "", "", badModel("the address ends in #%s, where only #sha256= and 64 lower-case hex digits may stand", fragment)
	}
	return base, pin, nil
}
