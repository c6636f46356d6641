package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
)

var (
	sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)
	gitSHA    = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// streamed is a file of a [Stream]: its head, and the place that reading has
// come to with the hash of all before it.
type streamed struct {
	s    *Stream
	name string
	url  string
	info info

	at     int64     // what comes next of the file
	sum    hash.Hash // of what came before; nil before anything did
	window []byte    // what has come and not been read, from at on
	pieces chan piece
	stop   context.CancelFunc
}

// piece is an answer that is on its way.
type piece chan struct {
	data []byte
	err  error
}

// Size is the length of the file.
func (b *streamed) Size() int64 { return b.info.size }

// Stamp is the commit, at which a file never changes.
func (b *streamed) Stamp() (stamp string, fixed bool, err error) {
	return b.s.name + "@" + b.s.Commit, true, nil
}

// Close stops what is on its way.
func (b *streamed) Close() error {
	if b.stop != nil {
		b.stop()
	}
	return nil
}

// ReadAt reads from the head, or goes on to a place further on. What lies
// before where reading has come to is fetched again.
func (b *streamed) ReadAt(p []byte, at int64) (int, error) {
	want := p[:max(0, min(int64(len(p)), b.info.size-at))]
	head, err := b.s.head(b)
	if err != nil {
		return 0, b.named(err)
	}
	switch end := at + int64(len(want)); {
	case end <= int64(len(head)) && (end < b.info.size || at < b.at):
		copy(want, head[at:])
	case at < b.at:
		var again []byte
		if again, err = b.s.get(b.s.ctx, b.url, at, int64(len(want))); err == nil {
			copy(want, again)
		}
	default:
		if err = b.skip(at); err == nil {
			err = b.read(want)
		}
	}
	if err != nil {
		return 0, b.named(err)
	}
	if len(want) < len(p) {
		return len(want), io.EOF
	}
	return len(p), nil
}

func (b *streamed) named(err error) error { return fmt.Errorf("hub: %s: %w", b.name, err) }

// skip reads and hashes what comes before a place.
func (b *streamed) skip(to int64) error {
	scratch := make([]byte, min(max(0, to-b.at), 1<<20))
	for b.at < to {
		if err := b.read(scratch[:min(int64(len(scratch)), to-b.at)]); err != nil {
			return err
		}
	}
	return nil
}

// read reads what comes next. At the end of the file its hash is compared.
func (b *streamed) read(p []byte) error {
	if b.sum == nil {
		b.sum = b.newSum()
	}
	for len(p) > 0 {
		if len(b.window) == 0 {
			if err := b.next(); err != nil {
				return err
			}
		}
		n := copy(p, b.window)
		b.sum.Write(b.window[:n])
		p, b.window, b.at = p[n:], b.window[n:], b.at+int64(n)
	}
	if b.at == b.info.size && b.want() != "" {
		if got := hex.EncodeToString(b.sum.Sum(nil)); got != b.want() {
			return fmt.Errorf("%w: %s, not %s", ErrCorrupt, got, b.want())
		}
	}
	return nil
}

// want is the hash that the hub has of the file; "" for none.
func (b *streamed) want() string {
	if b.info.lfs != "" {
		return b.info.lfs
	}
	return b.info.git
}

// newSum is the hash that the hub has: SHA-256 of a large file, else git's.
func (b *streamed) newSum() hash.Hash {
	if b.info.lfs != "" {
		return sha256.New()
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", b.info.size)
	return h
}

// next waits for the next piece.
func (b *streamed) next() error {
	if b.pieces == nil {
		if b.begin(); len(b.window) > 0 {
			return nil
		}
	}
	one, ok := <-b.pieces
	if !ok {
		return errors.Join(b.s.ctx.Err(), io.ErrUnexpectedEOF)
	}
	got := <-one
	b.window = got.data
	return got.err
}

// begin has pieces fetched from where reading is, several at a time, and what
// of the head comes next in the window.
func (b *streamed) begin() {
	ctx, cancel := context.WithCancel(b.s.ctx)
	b.stop, b.pieces = cancel, make(chan piece, b.s.o.Parallel-1)
	head, _ := b.s.head(b)
	from := max(b.at, int64(len(head)))
	if b.at < from {
		b.window = head[b.at:]
	}
	pieces := b.pieces
	go func() {
		defer close(pieces)
		for ; from < b.info.size; from += int64(b.s.o.Piece) {
			one, at := make(piece, 1), from
			go func() {
				data, err := b.s.get(ctx, b.url, at, min(int64(b.s.o.Piece), b.info.size-at))
				one <- struct {
					data []byte
					err  error
				}{data, err}
			}()
			select {
			case pieces <- one:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// Finish reads what is left, so that the hash of the whole file is compared.
func (b *streamed) Finish() error {
	if err := b.skip(b.info.size); err != nil {
		return b.named(err)
	}
	return nil
}

// mark is where reading has come to.
type mark struct {
	At  int64
	Sum []byte
}

// Mark tells where reading has come to, for [streamed.Return].
func (b *streamed) Mark() string {
	if b.sum == nil {
		return ""
	}
	sum, err := b.sum.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return ""
	}
	text, _ := json.Marshal(mark{b.at, sum})
	return string(text)
}

// Return goes on from a mark of the same file at the same commit, unless
// reading has come further.
func (b *streamed) Return(text string) error {
	var m mark
	if text == "" {
		return nil
	}
	sum := b.newSum()
	if err := json.Unmarshal([]byte(text), &m); err != nil || m.At < 0 || m.At > b.info.size || sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(m.Sum) != nil {
		return b.named(errors.New("what was noted of an interrupted download is damaged"))
	}
	if m.At > b.at {
		b.Close()
		b.at, b.sum, b.window, b.pieces, b.stop = m.At, sum, nil, nil, nil
	}
	return nil
}
