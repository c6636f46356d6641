//go:build !js

package hub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
)

// blob is a file of the repository: its first piece, and the whole of it on
// disk once more than that is read.
type blob struct {
	r    *Repo
	name string
	url  string // at the hub, which leads to where it lies

	direct   atomic.Pointer[string] // where it lies, for some minutes
	renewing sync.Mutex             // held by the piece that asks where the file lies now

	mu     sync.Mutex
	size   int64
	etag   string // where it lies
	sha256 string // as the hub has it, in hexadecimal; "" where it does not say
	head   []byte
	file   *os.File // nil before it is needed
}

// errChanged: the file is not the one that was opened.
var errChanged = errors.New("the file changed while it was read")

// open reads the first piece.
func (b *blob) open() error {
	a, err := b.r.get(b.r.ctx, b.url, fmt.Sprintf("bytes=0-%d", b.r.o.Piece-1), int64(b.r.o.Piece))
	if err != nil {
		return err
	}
	size := int64(len(a.body))
	if text := a.head.Get("Content-Range"); text != "" && size > 0 {
		if size, err = contentRange(text, 0, size); err != nil {
			return err
		}
	}
	if a.linkedSize >= 0 && a.linkedSize != size {
		return fmt.Errorf("it has %d bytes, the hub says %d", size, a.linkedSize)
	}
	b.direct.Store(&a.url)
	b.size, b.etag, b.sha256, b.head = size, a.head.Get("ETag"), a.linkedHash, a.body
	if int64(len(b.head)) == size {
		sum := sha256.Sum256(b.head)
		return b.check(sum[:])
	}
	return nil
}

// check compares the hash of the whole file.
func (b *blob) check(sum []byte) error {
	if got := hex.EncodeToString(sum); b.sha256 != "" && got != b.sha256 {
		return fmt.Errorf("%w: %s, not %s", ErrCorrupt, got, b.sha256)
	}
	return nil
}

// Size is the length of the file.
func (b *blob) Size() int64 { return b.size }

// Stamp is the commit, at which a file never changes.
func (b *blob) Stamp() (stamp string, fixed bool, err error) {
	return b.r.name + "@" + b.r.commit, true, nil
}

// Close removes what is on disk. A download that was interrupted stays, where
// there is a place for it.
func (b *blob) Close() error {
	b.head = nil
	if b.file == nil {
		return nil
	}
	err := b.file.Close()
	if b.r.o.Spool == "" || b.r.ctx.Err() == nil {
		err = errors.Join(err, os.Remove(b.file.Name()))
	}
	b.file = nil
	return err
}

// ReadAt reads from the first piece, or from the disk.
func (b *blob) ReadAt(p []byte, at int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil && at+int64(len(p)) > int64(len(b.head)) && int64(len(b.head)) < b.size {
		if err := b.download(); err != nil {
			return 0, fmt.Errorf("hub: %s: %w", b.name, err)
		}
	}
	if b.file != nil {
		return b.file.ReadAt(p, at)
	}
	return bytes.NewReader(b.head).ReadAt(p, at)
}

// download has the whole file on disk, and its hash right.
func (b *blob) download() error {
	f, err := b.create()
	if err != nil {
		return err
	}
	have := int64(0)
	sum := sha256.New()
	if b.sha256 != "" { // else nothing would tell whether what is there belongs to it
		if have, err = io.Copy(sum, io.LimitReader(f, b.size)); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	b.file = f
	fmt.Fprintf(b.r.o.Log, "%s: downloading %.2f MB\n", b.name, float64(b.size-have)/1e6)
	if err = b.append(have, sum); err == nil {
		err = b.check(sum.Sum(nil))
	}
	if err == nil {
		err = b.sameHead()
	}
	if err == nil {
		return nil
	}
	b.file = nil
	f.Close()
	if b.r.ctx.Err() == nil || b.r.o.Spool == "" {
		os.Remove(f.Name())
	}
	if errors.Is(err, ErrCorrupt) && have > 0 {
		return b.download() // what was there already is at fault, or may be
	}
	return err
}

// create opens the file on disk. Its name tells the next attempt what it is.
func (b *blob) create() (*os.File, error) {
	if b.r.o.Spool == "" {
		return os.CreateTemp("", "wisp-*.part")
	}
	if err := os.MkdirAll(b.r.o.Spool, 0o777); err != nil {
		return nil, err
	}
	name := sha256.Sum256([]byte(b.url))
	mode := os.O_RDWR | os.O_CREATE
	if b.sha256 == "" {
		mode |= os.O_TRUNC
	}
	return os.OpenFile(filepath.Join(b.r.o.Spool, hex.EncodeToString(name[:])+".part"), mode, 0o666)
}

// append downloads what follows the first bytes: pieces come several at once,
// and are written in their order, so that what is there is a beginning.
func (b *blob) append(have int64, sum hash.Hash) error {
	if err := b.file.Truncate(have); err != nil {
		return err
	}
	var busy sync.WaitGroup
	defer busy.Wait()
	ctx, cancel := context.WithCancel(b.r.ctx)
	defer cancel()
	type piece struct {
		data []byte
		err  error
	}
	queue := make(chan chan piece, b.r.o.Parallel-1)
	busy.Go(func() {
		defer close(queue)
		for at := have; at < b.size; at += int64(b.r.o.Piece) {
			one := make(chan piece, 1)
			busy.Go(func() {
				data, err := b.piece(ctx, at)
				one <- piece{data, err}
			})
			select {
			case queue <- one:
			case <-ctx.Done():
				return
			}
		}
	})
	for one := range queue {
		p := <-one
		if p.err == nil {
			_, p.err = b.file.WriteAt(p.data, have)
		}
		if p.err != nil {
			return p.err
		}
		sum.Write(p.data)
		have += int64(len(p.data))
	}
	return ctx.Err()
}

// piece asks for the piece that begins at a byte: where the file lies, and,
// where that is refused, since such addresses end after a while, at the hub.
func (b *blob) piece(ctx context.Context, at int64) ([]byte, error) {
	want := min(int64(b.r.o.Piece), b.size-at)
	span := fmt.Sprintf("bytes=%d-%d", at, at+want-1)
	direct := *b.direct.Load()
	a, err := b.r.get(ctx, direct, span, want)
	var status statusError
	if errors.As(err, &status) && slices.Contains([]int{400, 401, 403, 404, 410}, status.status) && direct != b.url {
		a, err = b.renewed(ctx, direct, span, want)
	}
	if err != nil {
		return nil, err
	}
	text := a.head.Get("Content-Range")
	if text == "" {
		return nil, errNoRanges
	}
	size, err := contentRange(text, at, int64(len(a.body)))
	if err != nil {
		return nil, err
	}
	if size != b.size || a.head.Get("ETag") != b.etag || int64(len(a.body)) != want {
		return nil, errChanged
	}
	return a.body, nil
}

// renewed asks for a piece whose address has ended: where another piece was sent
// since, else at the hub. One piece asks at a time, so that all learn of it.
func (b *blob) renewed(ctx context.Context, ended, span string, want int64) (answer, error) {
	b.renewing.Lock()
	defer b.renewing.Unlock()
	if now := *b.direct.Load(); now != ended {
		if a, err := b.r.get(ctx, now, span, want); err == nil {
			return a, nil
		}
	}
	a, err := b.r.get(ctx, b.url, span, want)
	if err == nil {
		b.direct.Store(&a.url)
	}
	return a, err
}

// sameHead compares what was read before the download with it.
func (b *blob) sameHead() error {
	head := make([]byte, len(b.head))
	if _, err := b.file.ReadAt(head, 0); err != nil {
		return err
	}
	if !bytes.Equal(head, b.head) {
		return errChanged
	}
	return nil
}
