package loader

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"syscall/js"

	"github.com/hack-pad/go-indexeddb/idb"
	"github.com/hack-pad/safejs"
)

// Blobs is a [Cache] in the browser's database, for browsers and contexts
// without private files: a file is a row of Blobs of blobSize bytes, each in a
// transaction of its own. The browser keeps Blobs as files, which it reads as a
// stream, where a typed array would be decoded as a whole.
type Blobs struct {
	db *IndexedDB

	mu      sync.Mutex
	removed map[string]int // how often, by name
}

// NewBlobs keeps files beside the records of db.
func NewBlobs(db *IndexedDB) *Blobs { return &Blobs{db: db, removed: map[string]int{}} }

const (
	blobKey  = "laid:"
	blobSize = 16 << 20 // a multiple of blockSize
)

// blobPrefix begins the keys of a file's Blobs; their number follows.
func blobPrefix(name string) string { return blobKey + name + ":" }

// keys lists the records of a file, of all files where name is empty.
func (c *Blobs) keys(ctx context.Context, name string) (keys []string, err error) {
	all, err := c.db.Keys(ctx)
	for _, k := range all {
		if strings.HasPrefix(k, blobKey) && (name == "" || strings.HasPrefix(k, blobPrefix(name))) {
			keys = append(keys, k)
		}
	}
	return keys, err
}

// Files lists the names.
func (c *Blobs) Files(ctx context.Context) (names []string, err error) {
	keys, err := c.keys(ctx, "")
	for _, k := range keys {
		name, number, _ := strings.Cut(strings.TrimPrefix(k, blobKey), ":")
		if number == "0" {
			names = append(names, name)
		}
	}
	return names, err
}

// Remove deletes a file, and ends the writing of one.
func (c *Blobs) Remove(ctx context.Context, name string) error {
	c.mu.Lock()
	c.removed[name]++
	c.mu.Unlock()
	keys, err := c.keys(ctx, name)
	if err != nil || len(keys) == 0 {
		return err
	}
	return c.db.Delete(ctx, keys...)
}

// Open opens a file for reading.
func (c *Blobs) Open(ctx context.Context, name string) (CacheFile, error) {
	keys, err := c.keys(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("loader: IndexedDB: %s: %w", name, fs.ErrNotExist)
	}
	f := &blobFile{c: c, name: name}
	last, err := f.blob(ctx, len(keys)-1)
	if err != nil {
		return nil, err
	}
	size, err := number(last, "size")
	f.size = int64(len(keys)-1)*blobSize + int64(size)
	return f, err
}

// Create makes an empty file for size bytes, under the rule of [OPFS.Create].
func (c *Blobs) Create(ctx context.Context, name string, size int64) (CacheFile, error) {
	if err := roomFor(ctx, size); err != nil {
		return nil, err
	}
	if err := c.Remove(ctx, name); err != nil {
		return nil, err
	}
	class, _ := global("Uint8Array")
	buf, err := class.New(min(size, blobSize))
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return &blobFile{c: c, name: name, removed: c.removed[name], buf: buf}, nil
}

type blobFile struct {
	c    *Blobs
	name string
	size int64

	// For reading.
	stream safejs.Value // ReadableStreamBYOBReader over the rest of a Blob, or a default one
	byob   bool         // the former
	left   int          // bytes that it will still give
	got    safejs.Value // Uint8Array: what it gave last
	from   int          // what was taken of got
	have   int          // bytes in got
	at     int64        // of the next byte in the file

	// For writing.
	removed int          // of the name, when the file was made
	buf     safejs.Value // Uint8Array: the Blob to come
	n       int          // bytes in it
	done    chan error   // of the last Blob; nil for none
}

// blob gets a Blob.
func (f *blobFile) blob(ctx context.Context, i int) (safejs.Value, error) {
	key := fmt.Sprint(blobPrefix(f.name), i)
	v, err := f.c.db.value(ctx, key)
	if err != nil {
		return v, explain(key, err)
	}
	class, _ := global("Blob")
	if is, err := v.InstanceOf(class); err != nil || !is {
		return v, fmt.Errorf("loader: IndexedDB: %s is not a Blob", key)
	}
	return v, nil
}

func (f *blobFile) read(ctx context.Context, b *block, n int, at int64) error {
	if at != f.at {
		f.at, f.left, f.have, f.from = at, 0, 0, 0
	}
	for got := 0; got < n; {
		if f.from == f.have {
			if err := f.pull(ctx); err != nil {
				return err
			}
		}
		k := min(n-got, f.have-f.from)
		part, err := f.got.Call("subarray", f.from, f.from+k)
		if err != nil {
			return err
		}
		if err := b.set(part, got); err != nil {
			return err
		}
		got, f.from, f.at = got+k, f.from+k, f.at+int64(k)
	}
	return nil
}

// pull gets the next bytes of the stream. The buffer that they come in goes to
// the browser with each read and comes back, where the browser takes one:
// WebKit's Blobs are read in buffers of its own.
func (f *blobFile) pull(ctx context.Context) error {
	if f.left == 0 {
		if err := f.seek(ctx); err != nil {
			return err
		}
	}
	var into []any
	if f.byob {
		view, err := f.buffer()
		if err != nil {
			return err
		}
		into = []any{view}
	}
	result, err := callAsync(ctx, f.stream, "read", into...)
	if err != nil {
		return err
	}
	if done, err := result.Get("done"); err != nil {
		return err
	} else if end, err := done.Bool(); err != nil || end {
		return fmt.Errorf("loader: IndexedDB: %s: %w", f.name, cmp.Or(err, io.ErrUnexpectedEOF))
	}
	if f.got, err = result.Get("value"); err != nil {
		return err
	}
	if f.have, err = f.got.Length(); err != nil || f.have == 0 || f.have > f.left {
		return fmt.Errorf("loader: IndexedDB: %s: %w", f.name, cmp.Or(err, io.ErrUnexpectedEOF))
	}
	f.left, f.from = f.left-f.have, 0
	return nil
}

// buffer is a Uint8Array over the buffer that came back last.
func (f *blobFile) buffer() (safejs.Value, error) {
	class, _ := global("Uint8Array")
	if f.got.IsUndefined() {
		return class.New(pullSize)
	}
	over, err := f.got.Get("buffer")
	if err != nil {
		return over, err
	}
	return class.New(over)
}

// pullSize is how much of a Blob is read at a time: what Chromium has ready.
const pullSize = 2 << 20

// seek opens a stream at the file's next byte.
func (f *blobFile) seek(ctx context.Context) error {
	blob, err := f.blob(ctx, int(f.at/blobSize))
	if err != nil {
		return err
	}
	if blob, err = blob.Call("slice", f.at%blobSize); err != nil {
		return err
	}
	if f.left, err = number(blob, "size"); err != nil {
		return err
	}
	if f.left == 0 {
		return fmt.Errorf("loader: IndexedDB: %s: %w", f.name, io.ErrUnexpectedEOF)
	}
	stream, err := blob.Call("stream")
	if err != nil {
		return err
	}
	if f.stream, err = stream.Call("getReader", map[string]any{"mode": "byob"}); err == nil {
		f.byob = true
		return nil
	}
	f.stream, err = stream.Call("getReader")
	return err
}

func (f *blobFile) write(ctx context.Context, b *block, n int) error {
	view, err := b.view(n)
	if err != nil {
		return err
	}
	if _, err := f.buf.Call("set", view, f.n); err != nil {
		return err
	}
	if f.n += n; f.n == blobSize {
		return f.put(ctx)
	}
	return nil
}

// put stores what is in the buffer, behind the caller's back: the next one
// hears how it went.
func (f *blobFile) put(ctx context.Context) error {
	if err := f.wait(); err != nil || f.n == 0 {
		return err
	}
	f.c.mu.Lock()
	gone := f.c.removed[f.name] != f.removed
	f.c.mu.Unlock()
	if gone {
		return fmt.Errorf("loader: IndexedDB: %s was removed to make room: %w", f.name, ErrQuota)
	}
	part, err := f.buf.Call("subarray", 0, f.n)
	if err != nil {
		return err
	}
	class, _ := global("Blob")
	blob, err := class.New([]any{part})
	if err != nil {
		return err
	}
	key := fmt.Sprint(blobPrefix(f.name), f.size/blobSize)
	f.size, f.n, f.done = f.size+int64(f.n), 0, make(chan error, 1)
	go func() {
		f.done <- explain(key, f.c.db.write(ctx, func(store *idb.ObjectStore) error {
			_, err := store.PutKey(js.ValueOf(key), safejs.Unsafe(blob))
			return err
		}))
	}()
	return nil
}

// wait waits for the Blob under way.
func (f *blobFile) wait() error {
	if f.done == nil {
		return nil
	}
	err := <-f.done
	f.done = nil
	return err
}

// Size is the number of bytes in the file.
func (f *blobFile) Size() (int64, error) { return f.size, nil }

// Close stores what was written and not stored yet.
func (f *blobFile) Close(ctx context.Context) error {
	if err := f.put(ctx); err != nil {
		return err
	}
	return f.wait()
}
