package pack

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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

// journal is what an interrupted pack had done: the chunks that it wrote, in
// order, and for each tensor what else the manifest and the report need.
type journal struct {
	chunks  []loader.Chunk
	tensors map[string]packed // by component and name
	fixed   bool              // the input cannot have changed
	w       *os.File          // nil: nothing is noted
}

// packed is a tensor that has been converted. Source is the SHA-256 of what it
// was made of.
type packed struct {
	Component, Name, DType string
	Source                 string
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
func openJournal(ctx context.Context, dir outDir, key string) (*journal, error) {
	j := &journal{tensors: map[string]packed{}, fixed: strings.HasPrefix(key, fixedKey)}
	name := filepath.Join(string(dir), journalName)
	lines := []entry{{Key: key}}
	if old, err := os.Open(name); err == nil {
		lines = append(lines, j.read(ctx, old, dir, key)...)
		old.Close()
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	var err error
	if j.w, err = os.Create(name); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	for _, e := range lines {
		if err := j.note(e); err != nil {
			return nil, errors.Join(err, j.w.Close())
		}
	}
	return j, nil
}

// read returns the lines that still hold, to the last tensor: chunks after that
// hold the beginning of one that was not noted, whose source nobody knows.
func (j *journal) read(ctx context.Context, old *os.File, dir outDir, key string) (lines []entry) {
	dec := json.NewDecoder(bufio.NewReader(old))
	whole, chunks := 0, 0 // lines and chunks up to the last tensor
	for first := true; ; first = false {
		var e entry
		if err := dec.Decode(&e); err != nil || ctx.Err() != nil || first && e.Key != key {
			break // its end, a line cut short, or another pack's
		}
		if e.Chunk != nil {
			if verifyChunk(string(dir), *e.Chunk) != nil {
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
		_, err = j.w.Write(append(line, '\n'))
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
