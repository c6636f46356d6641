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
	if s, err := estimate(ctx); err == nil && s.Quota-s.Usage < 2*size {
		return nil, fmt.Errorf("loader: %d bytes of %d are in use, %d more are wanted: %w", s.Usage, s.Quota, 2*size, ErrQuota)
	}
	f, err := o.handle(ctx, name, true, "readwrite")
	if err != nil {
		return nil, err
	}
	if _, err := f.h.Call("truncate", 0); err != nil {
		f.Close()
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
	class, _ := global("Uint8Array")
	buf, err := class.New(opfsBuffer)
	if err != nil {
		return nil, explainFile(name, err)
	}
	return &opfsFile{name, h, buf}, nil
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

// opfsBuffer is the size of the buffer between a file and Go's memory: a view
// of that memory may not be kept, since growth replaces it.
const opfsBuffer = 1 << 20

type opfsFile struct {
	name string
	h    safejs.Value // FileSystemSyncAccessHandle
	buf  safejs.Value // Uint8Array
}

// part is the start of the buffer.
func (f *opfsFile) part(n int) (safejs.Value, error) {
	if n == opfsBuffer {
		return f.buf, nil
	}
	return f.buf.Call("subarray", 0, n)
}

func (f *opfsFile) ReadAt(p []byte, at int64) (n int, err error) {
	for n < len(p) {
		view, err := f.part(min(len(p)-n, opfsBuffer))
		if err != nil {
			return n, err
		}
		got, err := f.call("read", view, at+int64(n))
		if err != nil {
			return n, err
		}
		if got == 0 {
			return n, io.ErrUnexpectedEOF
		}
		if _, err := safejs.CopyBytesToGo(p[n:min(n+got, len(p))], view); err != nil {
			return n, err
		}
		n += got
	}
	return n, nil
}

func (f *opfsFile) WriteAt(p []byte, at int64) (n int, err error) {
	for n < len(p) {
		size := min(len(p)-n, opfsBuffer)
		view, err := f.part(size)
		if err != nil {
			return n, err
		}
		if _, err := safejs.CopyBytesToJS(view, p[n:n+size]); err != nil {
			return n, err
		}
		put, err := f.call("write", view, at+int64(n))
		if err != nil {
			return n, err
		}
		if n += put; put < size {
			return n, fmt.Errorf("loader: private file system: %s: %d of %d bytes written: %w", f.name, put, size, ErrQuota)
		}
	}
	return n, nil
}

func (f *opfsFile) call(method string, view safejs.Value, at int64) (int, error) {
	v, err := f.h.Call(method, view, map[string]any{"at": at})
	if err != nil {
		return 0, explainFile(f.name, err)
	}
	return v.Int()
}

func (f *opfsFile) Size() (int64, error) {
	v, err := f.h.Call("getSize")
	if err != nil {
		return 0, explainFile(f.name, err)
	}
	size, err := v.Float()
	return int64(size), err
}

func (f *opfsFile) Close() error {
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
