package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/hack-pad/safejs"
)

// OPFS is a [Cache] in the origin's private file system. Its sync access
// handles, which only workers have, read at the speed of memory. A handle
// shuts every other tab out of its file: for those the file is not there.
type OPFS struct{ dir safejs.Value }

// OpenOPFS opens or makes a directory. An error means that this browser, or
// this context, has none.
func OpenOPFS(ctx context.Context, name string) (*OPFS, error) {
	manager, ok := global("navigator", "storage")
	_, can := global("FileSystemFileHandle", "prototype", "createSyncAccessHandle")
	if !ok || !can {
		return nil, errors.New("loader: this browser has no private file system here")
	}
	root, err := callAsync(ctx, manager, "getDirectory")
	if err != nil {
		return nil, fmt.Errorf("loader: private file system: %w", err)
	}
	dir, err := callAsync(ctx, root, "getDirectoryHandle", name, map[string]any{"create": true})
	if err != nil {
		return nil, fmt.Errorf("loader: private file system: %s: %w", name, err)
	}
	return &OPFS{dir}, nil
}

// Open opens a file for reading.
func (o *OPFS) Open(ctx context.Context, name string) (CacheFile, error) {
	return o.handle(ctx, name, false, "read-only")
}

// Create makes an empty file for size bytes. Where there is less than twice
// that room it refuses, with ErrQuota: the chunks come first.
func (o *OPFS) Create(ctx context.Context, name string, size int64) (CacheFile, error) {
	if err := roomFor(ctx, size); err != nil {
		return nil, err
	}
	f, err := o.handle(ctx, name, true, "readwrite")
	if err != nil {
		return nil, err
	}
	if _, err := f.h.Call("truncate", 0); err != nil {
		f.Close(ctx)
		return nil, explainFile(name, err)
	}
	return f, nil
}

func (o *OPFS) handle(ctx context.Context, name string, create bool, mode string) (*opfsFile, error) {
	file, err := callAsync(ctx, o.dir, "getFileHandle", name, map[string]any{"create": create})
	if err != nil {
		return nil, explainFile(name, err)
	}
	h, err := callAsync(ctx, file, "createSyncAccessHandle", map[string]any{"mode": mode})
	if err != nil {
		return nil, explainFile(name, err)
	}
	class, _ := global("Object")
	options, err := class.New()
	if err != nil {
		return nil, explainFile(name, err)
	}
	return &opfsFile{name: name, h: h, options: options}, nil
}

// Files lists the names.
func (o *OPFS) Files(ctx context.Context) (names []string, err error) {
	keys, err := o.dir.Call("keys")
	if err != nil {
		return nil, err
	}
	for {
		next, err := callAsync(ctx, keys, "next")
		if err != nil {
			return nil, explainFile("directory", err)
		}
		if done, err := next.Get("done"); err != nil {
			return nil, err
		} else if end, err := done.Bool(); err != nil || end {
			return names, err
		}
		name, err := text(next, "value")
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
}

// Remove deletes a file that no tab has open.
func (o *OPFS) Remove(ctx context.Context, name string) error {
	_, err := callAsync(ctx, o.dir, "removeEntry", name)
	if err = explainFile(name, err); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

type opfsFile struct {
	name    string
	h       safejs.Value // FileSystemSyncAccessHandle
	options safejs.Value // {at}
	end     int64        // of what was written
}

func (f *opfsFile) read(_ context.Context, b *block, n int, at int64) error {
	got, err := f.call("read", b, n, at)
	if err == nil && got < n {
		err = fmt.Errorf("loader: private file system: %s: %w", f.name, io.ErrUnexpectedEOF)
	}
	return err
}

func (f *opfsFile) write(_ context.Context, b *block, n int) error {
	put, err := f.call("write", b, n, f.end)
	if err == nil && put < n {
		err = fmt.Errorf("loader: private file system: %s: %d of %d bytes written: %w", f.name, put, n, ErrQuota)
	}
	f.end += int64(n)
	return err
}

func (f *opfsFile) call(method string, b *block, n int, at int64) (int, error) {
	view, err := b.view(n)
	if err != nil {
		return 0, err
	}
	if err := f.options.Set("at", at); err != nil {
		return 0, err
	}
	v, err := f.h.Call(method, view, f.options)
	if err != nil {
		return 0, explainFile(f.name, err)
	}
	return v.Int()
}

// Size is the number of bytes in the file.
func (f *opfsFile) Size() (int64, error) {
	v, err := f.h.Call("getSize")
	if err != nil {
		return 0, explainFile(f.name, err)
	}
	size, err := v.Float()
	return int64(size), err
}

// Close lets the file go.
func (f *opfsFile) Close(context.Context) error {
	_, err := f.h.Call("close")
	return explainFile(f.name, err)
}

// explainFile names the file and turns the browser's words into ours.
func explainFile(name string, err error) error {
	if err == nil {
		return nil
	}
	kind := err
	if e := (exception{}); errors.As(err, &e) {
		kind = map[string]error{"NotFoundError": fs.ErrNotExist, "QuotaExceededError": ErrQuota}[e.name]
	}
	if kind == nil || kind == err {
		return fmt.Errorf("loader: private file system: %s: %w", name, err)
	}
	return fmt.Errorf("loader: private file system: %s: %w", name, kind)
}
