package site

import (
	"errors"
	"io/fs"
	"path"
)

// Layers is a file system made of several: the first that has a name wins.
type Layers []fs.FS

// Open opens the named file of the first layer that has it.
func (l Layers) Open(name string) (fs.File, error) {
	for _, layer := range l {
		f, err := layer.Open(name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// Under is a file system moved down a path: Under("models", f) has f's "x" as
// "models/x".
func Under(prefix string, files fs.FS) fs.FS { return under{prefix, files} }

type under struct {
	prefix string
	fs     fs.FS
}

func (u under) Open(name string) (fs.File, error) {
	rest, ok := cutPath(name, u.prefix)
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return u.fs.Open(rest)
}

// cutPath removes a leading directory from a path.
func cutPath(name, prefix string) (string, bool) {
	name = path.Clean(name)
	if name == prefix {
		return ".", true
	}
	if len(name) > len(prefix) && name[:len(prefix)] == prefix && name[len(prefix)] == '/' {
		return name[len(prefix)+1:], true
	}
	return "", false
}
