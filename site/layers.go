package site

import (
	"bytes"
	"errors"
	"io/fs"
	"path"
	"slices"
	"time"
)

// Layers is a file system made of several: the first that has a name wins.
type Layers []fs.FS

// Glob lists the names that match in any layer.
func (l Layers) Glob(pattern string) ([]string, error) {
	var names []string
	for _, layer := range l {
		found, err := fs.Glob(layer, pattern)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

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

// Stat describes the named file of the first layer that has it, without opening
// it where the layer can.
func (l Layers) Stat(name string) (fs.FileInfo, error) {
	for _, layer := range l {
		info, err := fs.Stat(layer, name)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return info, err
		}
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
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

func (u under) Stat(name string) (fs.FileInfo, error) {
	rest, ok := cutPath(name, u.prefix)
	if !ok {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return fs.Stat(u.fs, rest)
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

// memory is a file system of files without directories, by name.
type memory map[string][]byte

func (m memory) Open(name string) (fs.File, error) {
	data, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return memoryFile{bytes.NewReader(data), name}, nil
}

func (m memory) Glob(pattern string) ([]string, error) {
	var names []string
	for name := range m {
		ok, err := path.Match(pattern, name)
		if err != nil {
			return nil, err
		}
		if ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// memoryFile is an open file of a memory, and its own FileInfo.
type memoryFile struct {
	*bytes.Reader
	name string
}

func (f memoryFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f memoryFile) Close() error               { return nil }
func (f memoryFile) Name() string               { return f.name }
func (f memoryFile) Size() int64                { return f.Reader.Size() }
func (f memoryFile) Mode() fs.FileMode          { return 0o444 }
func (f memoryFile) ModTime() time.Time         { return time.Time{} }
func (f memoryFile) IsDir() bool                { return false }
func (f memoryFile) Sys() any                   { return nil }
