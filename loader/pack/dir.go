package pack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"wisp/loader"
	"wisp/loader/safetensors"
)

// Dir is an [Input] on disk. An os.Root keeps an index file or a symbolic link
// from leading out of it.
type Dir struct{ *os.Root }

// OpenDir opens a directory to be packed.
func OpenDir(name string) (Dir, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Dir{}, fmt.Errorf("pack: %w", err)
	}
	if !info.IsDir() {
		if safetensors.Pickled(name) {
			return Dir{}, fmt.Errorf("pack: %s: %w", name, safetensors.ErrPickle)
		}
		return Dir{}, fmt.Errorf("pack: %s is a file: give the directory that holds it and its config.json", name)
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return Dir{}, fmt.Errorf("pack: %w", err)
	}
	return Dir{root}, nil
}

type file struct {
	*os.File
	size int64
}

func (f file) Size() int64 { return f.size }

// Stamp is the file's size and times.
func (f file) Stamp() (string, bool, error) {
	info, err := f.Stat()
	if err != nil {
		return "", false, err
	}
	return fmt.Sprintf("%d %d %d", info.Size(), info.ModTime().UnixNano(), changeTime(info)), false, nil
}

// Open opens a regular file.
func (d Dir) Open(name string) (safetensors.Blob, error) {
	name = filepath.FromSlash(name)
	info, err := d.Root.Stat(name)
	if err != nil {
		return nil, err
	}
	if err := regular(name, info); err != nil { // opening a pipe would wait for a writer
		return nil, err
	}
	f, err := d.Root.Open(name)
	if err != nil {
		return nil, err
	}
	info, err = f.Stat()
	if err == nil {
		err = regular(name, info)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return file{f, info.Size()}, nil
}

// regular refuses a directory, a pipe, a device.
func regular(name string, info fs.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return fmt.Errorf("%s is no regular file: %w", name, fs.ErrInvalid)
}

// readFile reads a regular file of at most so many bytes.
func readFile(name string, limit int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil {
		err = regular(name, info)
	}
	if err == nil && info.Size() > limit {
		err = fmt.Errorf("%s: %d bytes are more than %d", name, info.Size(), limit)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}

// List names the files in a folder.
func (d Dir) List(folder string) ([]string, error) {
	if folder == "" {
		folder = "."
	}
	entries, err := fs.ReadDir(d.FS(), folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func baseName(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		name = abs
	}
	return filepath.Base(name)
}

// lockName is the lock's file, on systems where it is one.
const lockName = "lock.part"

// errLocked: another pack has the lock of a directory.
var errLocked = errors.New("another pack is writing there: wait for it, or give another directory")

// outDir is an [Output] on disk.
type outDir string

// chunkName is what chunks are called, and nothing else that prune may remove.
var chunkName = regexp.MustCompile(`^[0-9a-f]{64}\.bin$`)

// createDir makes the directory, and refuses one with anything in it that a
// pack did not write.
func createDir(name string) (outDir, error) {
	if name == "" {
		return "", errors.New("pack: no output directory given")
	}
	if err := os.MkdirAll(name, 0o777); err != nil {
		return "", fmt.Errorf("pack: %w", err)
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return "", fmt.Errorf("pack: %w", err)
	}
	for _, e := range entries {
		if n := e.Name(); n != loader.ManifestName && !chunkName.MatchString(n) && !strings.HasSuffix(n, ".part") {
			return "", fmt.Errorf("pack: %s holds %s, which is no part of a packed model: give a directory of its own", name, n)
		}
		if !e.Type().IsRegular() {
			return "", fmt.Errorf("pack: %s in %s is no regular file", e.Name(), name)
		}
	}
	return outDir(name), nil
}

// Write writes a file under a temporary name first, so that a chunk is whole
// where it exists.
func (d outDir) Write(_ context.Context, name string, b []byte) error {
	final := filepath.Join(string(d), name)
	if info, err := os.Stat(final); err == nil && name != loader.ManifestName && info.Size() == int64(len(b)) {
		if old, err := os.ReadFile(final); err == nil && string(old) == string(b) {
			return nil
		}
	}
	if err := os.WriteFile(final+".part", b, 0o666); err != nil {
		return err
	}
	return os.Rename(final+".part", final)
}

// prune removes the chunks and temporary files of earlier packs.
func (d outDir) prune(m *loader.Manifest) error {
	keep := map[string]bool{loader.ManifestName: true}
	for _, c := range m.Chunks {
		keep[c.File()] = true
	}
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return fmt.Errorf("pack: %w", err)
	}
	for _, e := range entries {
		if keep[e.Name()] || e.Name() == lockName {
			continue
		}
		if err := os.Remove(filepath.Join(string(d), e.Name())); err != nil {
			return fmt.Errorf("pack: removing what an earlier pack left: %w", err)
		}
	}
	return nil
}
