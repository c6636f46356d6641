package loader

import (
	"bytes"
	"encoding/json"
	"math"
)

// Limits of the format; FORMAT.md states them.
const (
	ManifestName = "manifest.json"
	Version      = 2        // of the format, in the manifest: the newest; [Manifest.Oldest] is what is written
	MaxChunk     = 16 << 20 // bytes of a chunk, stored and raw
	MaxTensor    = math.MaxInt32

	maxManifest   = 32 << 20
	maxTable      = 1 << 17 // entries in a table of the manifest
	maxComponents = 1 << 10
	maxFiles      = 64 << 20
	maxRank       = 8
	maxMirrors    = 16
)

// Manifest describes a model: everything but the bytes of its tensors and files.
type Manifest struct {
	Format   string `json:"format"`         // "wisp"
	Version  int    `json:"version"`        // 1, or 2 where a tensor is q2
	Name     string `json:"name"`           // for people
	Licence  string `json:"licence"`        // SPDX identifier or a few words
	Card     string `json:"card,omitempty"` // the entry of Files that is the model card
	Pipeline string `json:"pipeline"`       // diffusers' pipeline class; empty for a single component

	// Mirrors are other directories with the same files, as absolute URLs.
	Mirrors []string `json:"mirrors,omitempty"`

	// Index is model_index.json and Defaults wisp.json, where there are any.
	Index    json.RawMessage `json:"index,omitempty"`
	Defaults json.RawMessage `json:"defaults,omitempty"`

	Components map[string]Component `json:"components"`
	Files      []FileInfo           `json:"files"`
	Chunks     []Chunk              `json:"chunks"`
	Tensors    []TensorInfo         `json:"tensors"`
}

// Component is one part of a pipeline: a network, the scheduler.
type Component struct {
	Library string          `json:"library,omitempty"` // "diffusers", "transformers"
	Class   string          `json:"class"`
	Config  json.RawMessage `json:"config,omitempty"` // as its library wrote it
}

// Chunk is one downloaded file, named SHA256 + ".bin".
type Chunk struct {
	SHA256   string `json:"sha256"`   // of the stored bytes, lower-case hex
	Stored   int64  `json:"stored"`   // bytes on the wire
	Raw      int64  `json:"raw"`      // bytes after decompression
	Encoding string `json:"encoding"` // "zstd", or "raw" where Stored == Raw
}

// File is the chunk's file name.
func (c Chunk) File() string { return c.SHA256 + ".bin" }

// Place is a run of raw bytes: from Offset in chunk number Chunk on, carried
// on at the start of the following chunks where it is longer than that one.
type Place struct {
	Chunk  int   `json:"chunk"`
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// FileInfo is a small file that travels with the model.
type FileInfo struct {
	Name string `json:"name"` // slash-separated, relative to the pipeline directory
	Place
}

// TensorInfo is one row of the tensor table.
type TensorInfo struct {
	Component string `json:"component"`
	Name      string `json:"name"`  // as in the checkpoint
	DType     string `json:"dtype"` // "f32", "f16", "bf16", "i32", "q8", "q4", "q2"
	Shape     []int  `json:"shape"` // outermost first
	Place
	Encoding string `json:"encoding,omitempty"` // "planes", or empty for plain bytes
}

// Config returns a component's configuration as its library wrote it:
// "unet", "vae", "text_encoder", "scheduler" and so on. "model_index" and
// "wisp" are the pipeline's model_index.json and wisp.json.
func (m *Manifest) Config(component string) (json.RawMessage, bool) {
	c := m.Components[component].Config
	switch component {
	case "model_index":
		c = m.Index
	case "wisp":
		c = m.Defaults
	}
	return c, len(c) > 0
}

// Oldest is the least version of the format that has what the manifest needs.
func (m *Manifest) Oldest() int {
	v := 1
	for i := range m.Tensors {
		v = max(v, m.Tensors[i].version())
	}
	return v
}

func (t *TensorInfo) version() int {
	if t.DType == "q2" {
		return 2
	}
	return 1
}

// PeakBytes estimates the memory of a loaded model: its weights in their types,
// as the backends keep them, and as much again as the largest component for
// activations and loading.
func (m *Manifest) PeakBytes() int64 {
	sums := map[string]int64{}
	for _, t := range m.Tensors {
		n, err := tensorSize(t.DType, t.Shape)
		if err != nil {
			continue // of a plan that no manifest may hold
		}
		sums[t.Component] += n
	}
	var total, largest int64
	for _, n := range sums {
		total += n
		largest = max(largest, n)
	}
	return total + largest
}

// Encode writes the manifest with one table entry a line and its digest as the
// last; the same manifest gives the same bytes.
func (m *Manifest) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	head := *m
	head.Files, head.Chunks, head.Tensors = nil, nil, nil
	if err := enc.Encode(head); err != nil {
		return nil, err
	}
	cut := bytes.LastIndex(b.Bytes(), []byte(`"files":null`))
	b.Truncate(cut)
	for i, table := range []struct {
		name string
		rows []any
	}{{"files", anys(m.Files)}, {"chunks", anys(m.Chunks)}, {"tensors", anys(m.Tensors)}} {
		if i > 0 {
			b.WriteString("],\n")
		}
		b.WriteString(`"` + table.name + `":[`)
		for j, row := range table.rows {
			if j > 0 {
				b.WriteByte(',')
			}
			b.WriteByte('\n')
			if err := enc.Encode(row); err != nil {
				return nil, err
			}
			b.Truncate(b.Len() - 1) // the encoder's own newline
		}
	}
	b.WriteString("],\n")
	return appendDigest(b.Bytes()), nil
}

func anys[T any](s []T) []any {
	out := make([]any, len(s))
	for i := range s {
		out[i] = s[i]
	}
	return out
}
