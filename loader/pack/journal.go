package pack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"wisp/loader"
	"wisp/loader/safetensors"
)

// journalName is the journal's, which lies beside the chunks until the
// manifest is there.
const journalName = "journal.part"

// Journal is where a pack notes what it has done, so that one that was
// interrupted goes on. It is kept by whoever keeps the chunks.
type Journal interface {
	// Lines is what was noted, each line with its end; nothing where nothing was.
	Lines(ctx context.Context) ([]byte, error)
	// Begin empties it.
	Begin(ctx context.Context) error
	// Note appends a line.
	Note(ctx context.Context, line []byte) error
	// Whole fails where a chunk that was noted is not there.
	Whole(ctx context.Context, c loader.Chunk) error
	// End is called when nothing more is noted, Forget where nothing that was
	// noted holds any more.
	End() error
	Forget() error
}

// journal is what an interrupted pack had done: the chunks that it wrote, in
// order, and for each tensor what else the manifest and the report need.
type journal struct {
	chunks  []loader.Chunk
	tensors map[string]packed // by component and name
	fixed   bool              // the input cannot have changed
	ctx     context.Context
	w       Journal // nil: nothing is noted
}

// packed is a tensor that has been converted. Source is the SHA-256 of what it
// was made of.
type packed struct {
	Component, Name, DType string
	Source                 string
	Mark                   string `json:",omitempty"` // to which its file had been read, see [marker]
	Max, Sum, Num, Den     float64
	N                      int
}

// entry is a line of the journal; one of its fields is set.
type entry struct {
	Key    string        `json:",omitempty"`
	Chunk  *loader.Chunk `json:",omitempty"`
	Tensor *packed       `json:",omitempty"`
}

// openJournal reads what an earlier pack with the same key left, as far as its
// chunks are whole, and goes on from there.
func openJournal(ctx context.Context, w Journal, key string) (*journal, error) {
	j := &journal{tensors: map[string]packed{}, fixed: strings.HasPrefix(key, fixedKey), ctx: ctx, w: w}
	old, err := w.Lines(ctx)
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	lines := append([]entry{{Key: key}}, j.read(ctx, bytes.NewReader(old), key)...)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	if err := w.Begin(ctx); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	for _, e := range lines {
		if err := j.note(e); err != nil {
			return nil, errors.Join(err, w.End())
		}
	}
	return j, nil
}

// fileJournal is a [Journal] in the directory of the chunks.
type fileJournal struct {
	dir  outDir
	file *os.File
}

func (j *fileJournal) name() string { return filepath.Join(string(j.dir), journalName) }

// Lines reads the file.
func (j *fileJournal) Lines(context.Context) ([]byte, error) {
	b, err := os.ReadFile(j.name())
	if err != nil { // it is only what saves work
		return nil, nil
	}
	return b, nil
}

// Begin makes the file anew.
func (j *fileJournal) Begin(context.Context) (err error) {
	j.file, err = os.Create(j.name())
	return err
}

// Note appends to it.
func (j *fileJournal) Note(_ context.Context, line []byte) error {
	_, err := j.file.Write(line)
	return err
}

// Whole checks the chunk's hash.
func (j *fileJournal) Whole(_ context.Context, c loader.Chunk) error {
	return verifyChunk(string(j.dir), c)
}

// End closes the file.
func (j *fileJournal) End() error { return j.file.Close() }

// Forget removes it.
func (j *fileJournal) Forget() error { return os.Remove(j.name()) }

// read returns the lines that still hold, to the last tensor: chunks after that
// hold the beginning of one that was not noted, whose source nobody knows.
func (j *journal) read(ctx context.Context, old io.Reader, key string) (lines []entry) {
	dec := json.NewDecoder(old)
	whole, chunks := 0, 0 // lines and chunks up to the last tensor
	for first := true; ; first = false {
		var e entry
		if err := dec.Decode(&e); err != nil || ctx.Err() != nil || first && e.Key != key {
			break // its end, a line cut short, or another pack's
		}
		if e.Chunk != nil {
			if j.w.Whole(ctx, *e.Chunk) != nil {
				break
			}
			j.chunks = append(j.chunks, *e.Chunk)
		}
		if !first {
			lines = append(lines, e)
		}
		if e.Tensor != nil {
			j.tensors[e.Tensor.Component+"/"+e.Tensor.Name] = *e.Tensor
			whole, chunks = len(lines), len(j.chunks)
		}
	}
	j.chunks = j.chunks[:chunks]
	return lines[:whole]
}

// find is a tensor that was noted.
func (j *journal) find(component, name string) (packed, bool) {
	if j == nil {
		return packed{}, false
	}
	was, ok := j.tensors[component+"/"+name]
	return was, ok
}

func (j *journal) note(e entry) error {
	if j == nil || j.w == nil {
		return nil
	}
	line, err := json.Marshal(e)
	if err == nil {
		err = j.w.Note(j.ctx, append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// fixedKey begins the key where equal stamps mean equal bytes.
const fixedKey = "fixed "

// journalKey is the same for the same input, options and code; there is none
// where the input's files have no stamps.
func journalKey(o Options) (key string, ok bool) {
	fixed := fixedKey
	sum := sha256.New()
	fmt.Fprintf(sum, "3 %d %q %d %q %q %d\n", loader.Version, o.Quant, o.Size, o.Name, o.Licence, o.ChunkSize)
	if o.Changes != "" {
		fmt.Fprintf(sum, "%q\n", o.Changes)
	}
	for _, name := range slices.Sorted(maps.Keys(o.seen)) {
		stamp := o.seen[name]
		if stamp == "" {
			return "", false
		}
		if !strings.HasPrefix(stamp, fixedKey) {
			fixed = ""
		}
		fmt.Fprintf(sum, "%q %s\n", name, stamp)
	}
	return fixed + hex.EncodeToString(sum.Sum(nil)), true
}

// openFile opens a file of the input, which must still be what it was when it
// was opened before.
func (p *packer) openFile(name string) (safetensors.Blob, error) {
	f, err := p.in.Open(name)
	if err != nil {
		return nil, err
	}
	now, err := stampOf(f)
	if was, ok := p.opts.seen[name]; err == nil && ok && was != now {
		err = ErrChanged
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	p.opts.seen[name] = now
	return f, nil
}

// unchanged fails where one of the files that were read is not what it was.
func (p *packer) unchanged() error {
	for _, name := range slices.Sorted(maps.Keys(p.opts.seen)) {
		if strings.HasPrefix(p.opts.seen[name], fixedKey) {
			continue
		}
		f, err := p.openFile(name)
		if err != nil {
			return err
		}
		f.Close()
	}
	return nil
}

// stampOf is a file's stamp, "" where it has none.
func stampOf(f safetensors.Blob) (string, error) {
	s, ok := f.(Stamper)
	if !ok {
		return "", nil
	}
	stamp, fixed, err := s.Stamp()
	if fixed {
		stamp = fixedKey + stamp
	}
	return stamp, err
}
