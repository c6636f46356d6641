package pack

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"wisp/loader"
)

// Stamper is an [Input] that can say whether it is still the same: a pack that
// was interrupted goes on where it stopped if the stamp is.
type Stamper interface{ Stamp() (string, error) }

// journalName is the journal's, which lies beside the chunks until the
// manifest is there.
const journalName = "journal.part"

// journal is what an interrupted pack had done: the chunks that it wrote, in
// order, and for each tensor what else the manifest and the report need.
type journal struct {
	chunks  []loader.Chunk
	tensors map[string]packed // by component and name
	w       *os.File          // nil: nothing is noted
}

// packed is a tensor that has been converted.
type packed struct {
	Component, Name, DType string
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
func openJournal(dir outDir, key string) (*journal, error) {
	j := &journal{tensors: map[string]packed{}}
	name := filepath.Join(string(dir), journalName)
	lines := []entry{{Key: key}}
	if old, err := os.Open(name); err == nil {
		lines = append(lines, j.read(old, dir, key)...)
		old.Close()
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

// read returns the lines that still hold.
func (j *journal) read(old *os.File, dir outDir, key string) (lines []entry) {
	dec := json.NewDecoder(bufio.NewReader(old))
	for first := true; ; first = false {
		var e entry
		if err := dec.Decode(&e); err != nil || first && e.Key != key {
			return lines // its end, a line cut short, or another pack's
		}
		switch {
		case e.Chunk != nil:
			if verifyChunk(string(dir), *e.Chunk) != nil {
				return lines
			}
			j.chunks = append(j.chunks, *e.Chunk)
		case e.Tensor != nil:
			j.tensors[e.Tensor.Component+"/"+e.Tensor.Name] = *e.Tensor
		default:
			continue
		}
		lines = append(lines, e)
	}
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

// journalKey is the same for the same input, options and code.
func journalKey(in Stamper, o Options) (string, error) {
	stamp, err := in.Stamp()
	if err != nil {
		return "", fmt.Errorf("pack: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "1 %d %q %q %q %d\n%s", loader.Version, o.Quant, o.Name, o.Licence, o.ChunkSize, stamp))
	return hex.EncodeToString(sum[:]), nil
}

// Stamp lists the files with their sizes and times.
func (d Dir) Stamp() (stamp string, err error) {
	err = fs.WalkDir(d.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := fs.Stat(d.FS(), name) // of what a link leads to
		if err != nil {
			return nil // a link that leads nowhere, or out: it cannot be read either
		}
		stamp += fmt.Sprintf("%q %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		return nil
	})
	return stamp, err
}
