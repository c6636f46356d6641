package pack

import (
	"context"
	"encoding/hex"

	"wisp/loader"
)

// writer fills chunks with the bytes of tensors and files and writes each out
// when it is full.
type writer struct {
	out  Output
	size int // raw bytes of a chunk
	man  *loader.Manifest
	done *journal // nil for none

	buf         []byte // the chunk being filled, plain
	runs        []run  // what of buf is to be split into byte planes
	width       int    // of the data being appended
	skipping    bool   // what is appended stands for bytes that are in done's chunks
	skipped     bool   // some of buf is such
	raw, stored int64  // bytes written so far
}

// run is the part of a tensor that lies in the current chunk.
type run struct{ from, to, width int }

// put appends all of data, plain.
func (w *writer) put(ctx context.Context, data []byte) (loader.Place, error) {
	place, err := w.begin(ctx, int64(len(data)), 1)
	if err != nil {
		return place, err
	}
	return place, w.append(ctx, data)
}

// begin says where the next length bytes, elements of width byte planes, will be.
func (w *writer) begin(ctx context.Context, length int64, width int) (loader.Place, error) {
	w.width = width
	if w.room() == 0 {
		if err := w.flush(ctx); err != nil {
			return loader.Place{}, err
		}
	}
	w.startRun()
	return loader.Place{Chunk: len(w.man.Chunks), Offset: int64(len(w.buf)), Length: length}, nil
}

// known reports whether the next length bytes lie in chunks that an earlier
// pack wrote.
func (w *writer) known(length int64) bool {
	if w.done == nil {
		return false
	}
	room := -int64(len(w.buf))
	for i := len(w.man.Chunks); i < len(w.done.chunks); i++ {
		room += w.done.chunks[i].Raw
	}
	return length <= room
}

// skip is append for bytes that are known.
func (w *writer) skip(ctx context.Context, length int64) error {
	w.skipping = true
	defer func() { w.skipping = false }()
	zeros := make([]byte, min(length, 1<<20))
	for ; length > 0; length -= int64(len(zeros)) {
		zeros = zeros[:min(length, int64(len(zeros)))]
		if err := w.append(ctx, zeros); err != nil {
			return err
		}
	}
	return nil
}

// append adds some of the bytes announced by begin, whole elements.
func (w *writer) append(ctx context.Context, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), w.room())
		if n == 0 {
			if err := w.flush(ctx); err != nil {
				return err
			}
			w.startRun()
			continue
		}
		w.buf = append(w.buf, data[:n]...)
		w.runs[len(w.runs)-1].to = len(w.buf)
		w.skipped = w.skipped || w.skipping
		data = data[n:]
	}
	return nil
}

// end ends the chunk after a tensor that is as large as one: what is noted of such
// a tensor is kept to its end, whatever happens to the next.
func (w *writer) end(ctx context.Context, length int64) error {
	if length < int64(w.size) {
		return nil
	}
	return w.flush(ctx)
}

func (w *writer) startRun() { w.runs = append(w.runs, run{len(w.buf), len(w.buf), w.width}) }

// room is how many bytes of whole elements still fit.
func (w *writer) room() int {
	n := w.size - len(w.buf)
	return n - n%w.width
}

// flush closes the current chunk.
func (w *writer) flush(ctx context.Context) error {
	if len(w.buf) == 0 {
		return nil
	}
	var was *loader.Chunk
	if i := len(w.man.Chunks); w.done != nil && i < len(w.done.chunks) {
		was = &w.done.chunks[i]
	}
	if was != nil && was.Raw != int64(len(w.buf)) {
		return errStale
	}
	if was != nil && w.skipped {
		w.add(*was)
		return ctx.Err()
	}
	raw := make([]byte, len(w.buf))
	for _, r := range w.runs {
		loader.Split(raw[r.from:r.to], w.buf[r.from:r.to], r.width)
	}
	stored, encoding, err := loader.EncodeChunk(raw)
	if err != nil {
		return err
	}
	sum, err := loader.Digest(ctx, stored)
	if err != nil {
		return err
	}
	c := loader.Chunk{SHA256: hex.EncodeToString(sum[:]), Stored: int64(len(stored)), Raw: int64(len(raw)), Encoding: encoding}
	if was != nil { // and written and noted
		if *was != c {
			return errStale
		}
		w.add(c)
		return ctx.Err()
	}
	if err := w.out.Write(ctx, c.File(), stored); err != nil {
		return err
	}
	if err := w.done.note(entry{Chunk: &c}); err != nil {
		return err
	}
	w.add(c)
	return ctx.Err()
}

// add closes the current chunk as c.
func (w *writer) add(c loader.Chunk) {
	w.man.Chunks = append(w.man.Chunks, c)
	w.raw, w.stored = w.raw+c.Raw, w.stored+c.Stored
	w.buf, w.runs, w.skipped = w.buf[:0], w.runs[:0], false
}
