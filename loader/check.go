package loader

import (
	"cmp"
	"encoding/hex"
	"io/fs"
	"slices"
	"strings"

	"wisp/loader/quant"
)

// check refuses what breaks a rule of the format. It costs one sorting of the
// tables: what follows a tensor over its chunks comes after it is known that no
// two share any.
func (m *Manifest) check() error {
	for _, u := range m.Mirrors {
		if !strings.HasPrefix(u, "https://") && !strings.HasPrefix(u, "http://") {
			return badModel("mirror %q: only absolute http or https URLs are allowed", u)
		}
	}
	for i, c := range m.Chunks {
		if err := c.check(); err != nil {
			return badModel("chunk %d %v", i, err)
		}
	}
	bases := m.bases()
	used := make([]span, 0, len(m.Files)+len(m.Tensors))
	var files int64
	for i, f := range m.Files {
		if !fs.ValidPath(f.Name) || f.Name == "." || strings.ContainsAny(f.Name, "\\:\x00") {
			return badModel("file %d has the name %q, which is not a plain relative path", i, f.Name)
		}
		s, err := f.span(m, bases)
		if err != nil {
			return badModel("file %q: %v", f.Name, err)
		}
		if files += f.Length; files > maxFiles {
			return badModel("the files take more than %d bytes", maxFiles)
		}
		used = append(used, s.of(i))
	}
	for i := range m.Tensors {
		s, err := m.checkTensor(i, bases)
		if err != nil {
			return err
		}
		used = append(used, s.of(len(m.Files)+i))
	}
	if err := m.checkDisjoint(used); err != nil {
		return err
	}
	for _, t := range m.Tensors {
		if err := t.checkPlanes(m); err != nil {
			return badModel("tensor %s/%s: %v", t.Component, t.Name, err)
		}
	}
	return nil
}

func (m *Manifest) checkTensor(i int, bases []int64) (span, error) {
	t := &m.Tensors[i]
	if _, ok := m.Components[t.Component]; !ok {
		return span{}, badModel("tensor %q belongs to the component %q, which the manifest does not have", t.Name, t.Component)
	}
	err := t.check()
	if err == nil && m.Version < t.version() {
		err = fieldError("is %s, which version %d of the format has not", t.DType, m.Version)
	}
	if err == nil {
		var s span
		if s, err = t.span(m, bases); err == nil {
			return s, nil
		}
	}
	return span{}, badModel("tensor %s/%s: %v", t.Component, t.Name, err)
}

// bases gives each chunk's place in the concatenation of all raw chunks, and
// its total length last. The limits of the tables keep it from overflowing.
func (m *Manifest) bases() []int64 {
	b := make([]int64, len(m.Chunks)+1)
	for i, c := range m.Chunks {
		b[i+1] = b[i] + c.Raw
	}
	return b
}

func (c Chunk) check() error {
	if !isHash(c.SHA256) {
		return fieldError("has the sha256 %q, not 64 lower-case hex digits", c.SHA256)
	}
	if c.Raw < 1 || c.Raw > MaxChunk || c.Stored < 1 || c.Stored > MaxChunk {
		return fieldError("has %d stored and %d raw bytes, outside 1 to %d", c.Stored, c.Raw, MaxChunk)
	}
	switch c.Encoding {
	case "zstd":
	case "raw":
		if c.Stored != c.Raw {
			return fieldError("is raw but has %d stored and %d raw bytes", c.Stored, c.Raw)
		}
	default:
		return fieldError("has the unknown encoding %q", c.Encoding)
	}
	return nil
}

func isHash(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == 32 && strings.ToLower(s) == s
}

// span is a place in the concatenation of all raw chunks, of a file or, after
// all files, a tensor.
type span struct {
	from, to int64
	entry    int
}

func (s span) of(entry int) span { s.entry = entry; return s }

func (p Place) span(m *Manifest, bases []int64) (span, error) {
	if p.Chunk < 0 || p.Chunk >= len(m.Chunks) {
		return span{}, fieldError("is in chunk %d of %d", p.Chunk, len(m.Chunks))
	}
	if p.Offset < 0 || p.Offset >= m.Chunks[p.Chunk].Raw {
		return span{}, fieldError("starts at byte %d of a chunk of %d", p.Offset, m.Chunks[p.Chunk].Raw)
	}
	from, end := bases[p.Chunk]+p.Offset, bases[len(m.Chunks)]
	if p.Length < 1 || p.Length > end-from {
		return span{}, fieldError("has the length %d, outside 1 to the %d bytes left", p.Length, end-from)
	}
	return span{from: from, to: from + p.Length}, nil
}

func (t *TensorInfo) check() error {
	if t.Name == "" || len(t.Name) > 1024 {
		return fieldError("has a name of %d bytes, outside 1 to 1024", len(t.Name))
	}
	size, err := tensorSize(t.DType, t.Shape)
	if err != nil {
		return err
	}
	if size != t.Length {
		return fieldError("has the length %d, but %s %v takes %d bytes", t.Length, t.DType, t.Shape, size)
	}
	if t.Encoding != "" && t.Encoding != "planes" {
		return fieldError("has the unknown encoding %q", t.Encoding)
	}
	if t.Encoding == "planes" && planeWidth(t.DType) < 2 {
		return fieldError("is %s, which has no byte planes", t.DType)
	}
	return nil
}

// checkPlanes makes sure that chunk boundaries fall between elements.
func (t *TensorInfo) checkPlanes(m *Manifest) error {
	e := int64(t.width())
	if e == 1 {
		return nil
	}
	off, left := t.Offset, t.Length
	for i := t.Chunk; i >= 0 && i < len(m.Chunks); i++ {
		room := m.Chunks[i].Raw - off
		if left <= room {
			break
		}
		if room%e != 0 {
			return fieldError("is cut by the end of chunk %d in the middle of an element", i)
		}
		off, left = 0, left-room
	}
	return nil
}

// tensorSize is the number of bytes of a tensor, checked against overflow and
// MaxTensor at every step.
func tensorSize(dtype string, shape []int) (int64, error) {
	if len(shape) > maxRank {
		return 0, fieldError("has %d dimensions, more than %d", len(shape), maxRank)
	}
	elems := int64(1)
	for _, d := range shape {
		if d < 1 || d > MaxTensor || elems > MaxTensor/int64(d) {
			return 0, fieldError("has the shape %v: every extent must be at least 1 and the product below 2^31", shape)
		}
		elems *= int64(d)
	}
	rows := int64(1)
	if len(shape) > 0 {
		rows = int64(shape[0])
	}
	var size int64
	switch dtype {
	case "f32", "i32":
		size = 4 * elems
	case "f16", "bf16":
		size = 2 * elems
	case "q8":
		size = rows * int64(quant.RowBytes(8, int(elems/rows)))
	case "q4":
		size = rows * int64(quant.RowBytes(4, int(elems/rows)))
	case "q2":
		size = rows * int64(quant.RowBytes(2, int(elems/rows)))
	default:
		return 0, fieldError("has the unknown dtype %q", dtype)
	}
	if size > MaxTensor {
		return 0, fieldError("takes %d bytes, more than %d", size, int64(MaxTensor))
	}
	return size, nil
}

// checkDisjoint refuses tables in which two entries share bytes or a name.
func (m *Manifest) checkDisjoint(used []span) error {
	type key struct{ component, name string }
	seen := make(map[key]bool, len(used))
	for i := range used {
		k := key{"", ""}
		if f := used[i].entry; f < len(m.Files) {
			k.name = m.Files[f].Name
		} else {
			t := &m.Tensors[f-len(m.Files)]
			k = key{"/" + t.Component, t.Name}
		}
		if seen[k] {
			return badModel("%s is there twice", m.entryName(used[i].entry))
		}
		seen[k] = true
	}
	slices.SortFunc(used, func(a, b span) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	for i := 1; i < len(used); i++ {
		if used[i-1].to > used[i].from {
			return badModel("%s and %s overlap", m.entryName(used[i-1].entry), m.entryName(used[i].entry))
		}
	}
	return nil
}

// entryName names an entry of the files or, after those, the tensors.
func (m *Manifest) entryName(i int) string {
	if i < len(m.Files) {
		return "file " + m.Files[i].Name
	}
	t := &m.Tensors[i-len(m.Files)]
	return "tensor " + t.Component + "/" + t.Name
}
