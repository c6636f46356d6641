package safetensors

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"wisp/loader/budget"
	"wisp/loader/gguf"
)

// ErrPickle refuses a checkpoint that is a Python pickle.
var ErrPickle = errors.New("a pickled checkpoint (.ckpt, .pt, .bin) is a Python program that runs when it is opened, " +
	"so wisp does not read it; use the model's .safetensors files, or convert it on a machine you trust with " +
	"`pipe.save_pretrained(dir, safe_serialization=True)` in diffusers")

// ErrPointer refuses what Git LFS leaves in a file's place.
var ErrPointer = errors.New("this is the pointer that Git LFS left in the file's place: fetch the file itself with `git lfs pull`, " +
	"or download it from the model's page")

// lfsPointer is how Git LFS's pointers begin.
var lfsPointer = []byte("version ")

// looksPickled recognises torch.save's files by their first bytes: a zip
// archive, or a bare pickle of protocol 2 to 5.
func looksPickled(head []byte) bool {
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) || head[0] == 0x80 && head[1] >= 2 && head[1] <= 5
}

// Pickled reports whether a file name is one that torch.save uses.
func Pickled(name string) bool {
	switch path.Ext(name) {
	case ".ckpt", ".pt", ".pth", ".bin", ".pkl":
		return true
	}
	return false
}

// Blob is an open file: an *os.File or anything else that reads at an offset.
type Blob interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Set is the tensors of one checkpoint, from however many files, of which each
// may also be GGUF: then dtypes are GGUF's names ("Q4_K").
type Set struct {
	Tensors []Tensor     // sorted by name
	GGUF    []*gguf.File // of the files, those that are GGUF, with their metadata
	files   []*File
	blobs   []Blob
}

// maxIndex bounds an index file.
const maxIndex = 100 << 20

// OpenSet opens a checkpoint by the name of its .safetensors or .gguf file or of the
// JSON file that lists its shards. Open gets names relative to
// the directory of that file. Close the set after use.
func OpenSet(name string, open func(name string) (Blob, error)) (*Set, error) {
	s := &Set{}
	err := s.load(name, open)
	if err == nil {
		err = s.sort()
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// sort orders the tensors by name, of which each must be there once.
func (s *Set) sort() error {
	slices.SortFunc(s.Tensors, func(a, b Tensor) int { return cmp.Compare(a.Name, b.Name) })
	for i := 1; i < len(s.Tensors); i++ {
		if s.Tensors[i].Name == s.Tensors[i-1].Name {
			return bad("the tensor %q is there twice", s.Tensors[i].Name)
		}
	}
	return nil
}

// Map returns a set of the same files with the tensors that f makes of each:
// none, one under another name or with its dimensions seen otherwise, or
// several that share its bytes. Closing the original closes it.
func (s *Set) Map(f func(t Tensor) []Tensor) (*Set, error) {
	out := &Set{files: s.files, GGUF: s.GGUF, Tensors: make([]Tensor, 0, len(s.Tensors))}
	for _, t := range s.Tensors {
		out.Tensors = append(out.Tensors, f(t)...)
	}
	return out, out.sort()
}

func (s *Set) load(name string, open func(name string) (Blob, error)) error {
	if Pickled(name) {
		return ErrPickle
	}
	if path.Ext(name) != ".json" {
		return s.add(name, open, nil)
	}
	shards, err := readIndex(name, open)
	if err != nil {
		return err
	}
	for _, sh := range shards {
		if err := s.add(sh.file, open, sh.tensors); err != nil {
			return fmt.Errorf("%s: %w", sh.file, err)
		}
	}
	return nil
}

// add opens a file and takes its tensors, which must be the wanted ones where
// an index names them.
func (s *Set) add(name string, open func(name string) (Blob, error), want map[string]bool) error {
	b, err := open(name)
	if err != nil {
		return err
	}
	s.blobs = append(s.blobs, b)
	f, err := s.parse(b)
	if err != nil {
		return err
	}
	for n := range want {
		if _, ok := f.Find(n); !ok {
			return bad("the index says that the tensor %q is here, and it is not", n)
		}
	}
	if want == nil {
		s.Tensors = slices.Grow(s.Tensors, len(f.Tensors))
	}
	for _, t := range f.Tensors {
		if want != nil && !want[t.Name] {
			continue
		}
		t.file = len(s.files)
		s.Tensors = append(s.Tensors, t)
	}
	s.files = append(s.files, f)
	return nil
}

// parse reads the header of either format.
func (s *Set) parse(b Blob) (*File, error) {
	var magic [4]byte
	if _, err := b.ReadAt(magic[:], 0); err != nil || string(magic[:]) != gguf.Magic {
		return Parse(b, b.Size())
	}
	g, err := gguf.Parse(b, b.Size())
	if err != nil {
		return nil, err
	}
	s.GGUF = append(s.GGUF, g)
	f := &File{r: b}
	for _, t := range g.Tensors {
		shape, err := originalShape(g, t)
		if err != nil {
			return nil, err
		}
		f.Tensors = append(f.Tensors, Tensor{Name: t.Name, DType: t.Type, Shape: shape, Begin: t.Begin, Size: t.Size})
	}
	slices.SortFunc(f.Tensors, func(a, b Tensor) int { return cmp.Compare(a.Name, b.Name) })
	return f, nil
}

// originalShape is the shape that a tensor had before ComfyUI's converter laid
// its elements in rows of whole blocks.
func originalShape(g *gguf.File, t gguf.Tensor) ([]int, error) {
	given, ok := g.Metadata["comfy.gguf.orig_shape."+t.Name].([]int64)
	if !ok {
		return t.Shape, nil
	}
	left := int64(Tensor{Shape: t.Shape}.Elems())
	var shape []int
	for _, d := range given {
		if d < 1 || left%d != 0 || len(shape) == maxRank {
			return nil, fmt.Errorf("%w: the tensor %q is of %v elements and the shape %v", gguf.ErrFormat, t.Name, t.Shape, given)
		}
		shape, left = append(shape, int(d)), left/d
	}
	if left != 1 {
		return nil, fmt.Errorf("%w: the tensor %q is of %v elements and the shape %v", gguf.ErrFormat, t.Name, t.Shape, given)
	}
	return shape, nil
}

type shard struct {
	file    string
	tensors map[string]bool
}

// readIndex reads the weight_map of an index, grouped by file in name order.
func readIndex(name string, open func(name string) (Blob, error)) ([]shard, error) {
	b, err := open(name)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if b.Size() > maxIndex {
		return nil, bad("the index is %d bytes long", b.Size())
	}
	text, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		return nil, err
	}
	groups := map[string]map[string]bool{}
	r := &headerReader{JSON: budget.NewJSON("the index", text, headerLimits)}
	err = r.Members(func(key string) error {
		if key == "weight_map" {
			return r.weightMap(groups)
		}
		_, err := r.Raw()
		return err
	})
	if errors.Is(err, ErrPickle) {
		return nil, ErrPickle
	}
	if err != nil || len(groups) == 0 {
		return nil, bad("the index has no weight_map (%v)", err)
	}
	var shards []shard
	for file, tensors := range groups {
		shards = append(shards, shard{file, tensors})
	}
	slices.SortFunc(shards, func(a, b shard) int { return cmp.Compare(a.file, b.file) })
	return shards, nil
}

// weightMap reads which file each tensor is in.
func (r *headerReader) weightMap(groups map[string]map[string]bool) error {
	last := ""
	return r.Members(func(tensor string) (err error) {
		if last, err = r.Again(last); err != nil {
			return err
		}
		file := last
		if Pickled(file) {
			return ErrPickle
		}
		if file == "" || path.Base(file) != file || strings.ContainsAny(file, "\\:") {
			return fmt.Errorf("it puts the tensor %q into %q, which is not a file beside it", tensor, file)
		}
		if groups[file] == nil {
			groups[file] = map[string]bool{}
		}
		if groups[file][tensor] {
			return fmt.Errorf("the tensor %q is there twice", tensor)
		}
		groups[file][tensor] = true
		return nil
	})
}

// File is the open file that a tensor is in; nil in a set that [Set.Map] made.
func (s *Set) File(t Tensor) Blob {
	if t.file < len(s.blobs) {
		return s.blobs[t.file]
	}
	return nil
}

// Files are the open files.
func (s *Set) Files() []Blob { return s.blobs }

// Order compares tensors by where they are: by file, and in it.
func (s *Set) Order(a, b Tensor) int {
	return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.Begin, b.Begin))
}

// Close closes every file.
func (s *Set) Close() error {
	var errs []error
	for _, b := range s.blobs {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}

// Metadata is that of the first file; nil without any.
func (s *Set) Metadata() map[string]string {
	if len(s.files) == 0 {
		return nil
	}
	return s.files[0].Metadata
}
