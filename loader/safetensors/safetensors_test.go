package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strings"
	"testing"
)

// blob is a [Blob] in memory.
type blob struct{ *bytes.Reader }

func (b blob) Size() int64 { return b.Reader.Size() }
func (blob) Close() error  { return nil }

// encode puts a header in front of n bytes of data.
func encode(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	for i := range n {
		b = append(b, byte(i))
	}
	return b
}

func parse(b []byte) (*File, error) { return Parse(bytes.NewReader(b), int64(len(b))) }

func TestParse(t *testing.T) {
	f, err := parse(encode(`{"__metadata__":{"format":"pt"},
		"z":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"BF16","shape":[1,3],"data_offsets":[8,14]},
		"scalar":{"dtype":"I64","shape":[],"data_offsets":[14,22]},"none":{"dtype":"F32","shape":[0,4],"data_offsets":[22,22]}}   `, 22))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range f.Tensors {
		b, err := io.ReadAll(f.Section(x))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(x.Name, x.DType, x.Shape, x.Elems(), b))
	}
	want := []string{"aBF16[1 3] 3 [8 9 10 11 12 13]", "noneF32[0 4] 0 []", "scalarI64[] 1 [14 15 16 17 18 19 20 21]", "zF32[2] 2 [0 1 2 3 4 5 6 7]"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", got)
	}
	if x, ok := f.Find("z"); !ok || x.Size != 8 || f.Metadata["format"] != "pt" {
		t.Errorf("%v %v %v", x, ok, f.Metadata)
	}
	if _, ok := f.Find("y"); ok {
		t.Error("found what is not there")
	}
}

func TestHostileHeaders(t *testing.T) {
	one := func(entry string, n int) []byte { return encode(`{"t":`+entry+`}`, n) }
	long := binary.LittleEndian.AppendUint64(nil, 1<<60)
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", nil, "too short"},
		{"2^60 length", append(long, "{}"...), "the header claims"},
		{"2^64-1 length", append(bytes.Repeat([]byte{255}, 8), "{}"...), "the header claims"},
		{"longer than the file", binary.LittleEndian.AppendUint64(nil, 3), "the header claims"},
		{"zero length", make([]byte, 8), "not a JSON object"},
		{"array", encode(`[]`, 0), "not a JSON object"},
		{"cut JSON", encode(`{"t":{"dtype":"F32"`, 0), "cut short"},
		{"JSON after the object", encode(`{} {}`, 0), "follow the header"},
		{"unknown dtype", one(`{"dtype":"F7","shape":[1],"data_offsets":[0,4]}`, 4), `"F7"`},
		{"no shape", one(`{"dtype":"F32","data_offsets":[0,4]}`, 4), "no shape"},
		{"null shape", one(`{"dtype":"F32","shape":null,"data_offsets":[0,4]}`, 4), "an array"},
		{"negative extent", one(`{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}`, 4), "impossible shape"},
		{"2^60 extent", one(`{"dtype":"F32","shape":[1152921504606846976],"data_offsets":[0,4]}`, 4), "impossible shape"},
		{"overflowing product", one(`{"dtype":"F32","shape":[2147483647,2147483647,2147483647],"data_offsets":[0,4]}`, 4), "impossible shape"},
		{"product that wraps to 1", one(`{"dtype":"U8","shape":[65536,65536,65536,65536],"data_offsets":[0,0]}`, 0), "impossible shape"},
		{"many dimensions", one(`{"dtype":"U8","shape":[`+strings.Repeat("1,", 16)+`1],"data_offsets":[0,1]}`, 1), "more than 16"},
		{"size mismatch", one(`{"dtype":"F32","shape":[1],"data_offsets":[0,3]}`, 3), "takes 4 bytes"},
		{"beyond the end", one(`{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`, 3), "offsets"},
		{"backward", one(`{"dtype":"F32","shape":[1],"data_offsets":[4,0]}`, 4), "offsets"},
		{"negative offset", one(`{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}`, 4), "offsets"},
		{"one offset", one(`{"dtype":"F32","shape":[1],"data_offsets":[4]}`, 4), "offsets"},
		{"no offsets", one(`{"dtype":"F32","shape":[1]}`, 4), "offsets"},
		{"tail", one(`{"dtype":"F32","shape":[1],"data_offsets":[0,4]}`, 5), "cut off or has a tail"},
		{"gap", one(`{"dtype":"F32","shape":[1],"data_offsets":[1,5]}`, 5), "belong to none"},
		{"overlap", encode(`{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[3],"data_offsets":[2,5]}}`, 5), "overlap"},
		{"duplicate", encode(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), "there twice"},
		{"dtype twice", one(`{"dtype":"F32","shape":[1],"data_offsets":[0,4],"dtype":"F32"}`, 4), `"dtype" is there twice`},
		{"dtype in capitals", one(`{"DType":"F32","shape":[1],"data_offsets":[0,4]}`, 4), `unknown dtype ""`},
		{"half a byte", one(`{"dtype":"F4","shape":[3],"data_offsets":[0,1]}`, 1), "takes 1 bytes"},
		{"metadata twice", encode(`{"__metadata__":{"a":"1","a":"2"}}`, 0), "there twice"},
		{"deep", one(`{"x":`+strings.Repeat("[", 99)+strings.Repeat("]", 99)+`,"dtype":"F32"}`, 4), "levels"},
		{"metadata of numbers", encode(`{"__metadata__":{"a":1}}`, 0), "metadata"},
	} {
		_, err := parse(c.b)
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := parse([]byte("PK\x03\x04\x14\x00\x08\x08")); !errors.Is(err, ErrPickle) {
		t.Errorf("zip: %v", err)
	}
	if _, err := parse([]byte("\x80\x02\x8a\nl\xfc\x9cF")); !errors.Is(err, ErrPickle) {
		t.Errorf("pickle: %v", err)
	}
}

// TestDTypes: every type of the format may be in a file, at its size.
func TestDTypes(t *testing.T) {
	for dtype, n := range bits {
		f, err := parse(encode(fmt.Sprintf(`{"a":{"dtype":%q,"shape":[4,2],"data_offsets":[0,%d],"more":{"x":1}}}`, dtype, n), int(n)))
		if err != nil || f.Tensors[0].Size != n {
			t.Errorf("%s: %v", dtype, err)
		}
	}
}

// TestTextInItsPlace: what is saved in a checkpoint's place by mistake is said
// to be that.
func TestTextInItsPlace(t *testing.T) {
	for _, text := range []string{"<!DOCTYPE html><html><head>", "\n\t <html lang=en>", "\ufeff<html>......", `{"error":"not found"}`, `[{"a":1}]........`} {
		if _, err := parse([]byte(text)); !errors.Is(err, ErrText) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func open(files map[string][]byte) func(string) (Blob, error) {
	return func(name string) (Blob, error) {
		b, ok := files[name]
		if !ok {
			return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		return blob{bytes.NewReader(b)}, nil
	}
}

func TestSet(t *testing.T) {
	one := encode(`{"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"extra":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, 3)
	two := encode(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1)
	index := func(s string) map[string][]byte {
		return map[string][]byte{"m.safetensors.index.json": []byte(s), "1.safetensors": one, "2.safetensors": two}
	}
	s, err := OpenSet("m.safetensors.index.json", open(index(`{"metadata":{},"weight_map":{"a":"2.safetensors","b":"1.safetensors"}}`)))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Tensors) != 2 || s.Tensors[0].Name != "a" || s.Tensors[1].Name != "b" {
		t.Errorf("%v", s.Tensors)
	}
	r, err := s.Section(s.Tensors[1])
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, []byte{0, 1}) {
		t.Errorf("%v, %v", b, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		name  string
		files map[string][]byte
		is    error
		want  string
	}{
		{"traversal", index(`{"weight_map":{"a":"../2.safetensors"}}`), ErrFormat, "not a file beside it"},
		{"absolute", index(`{"weight_map":{"a":"/etc/passwd"}}`), ErrFormat, "not a file beside it"},
		{"pickle", index(`{"weight_map":{"a":"2.bin"}}`), ErrPickle, "pickled"},
		{"empty", index(`{"weight_map":{}}`), ErrFormat, "no weight_map"},
		{"not JSON", index(`x`), ErrFormat, "no weight_map"},
		{"missing shard", index(`{"weight_map":{"a":"3.safetensors"}}`), fs.ErrNotExist, "3.safetensors"},
		{"tensor not in shard", index(`{"weight_map":{"a":"1.safetensors"}}`), ErrFormat, `"a" is here`},
		{"missing index", map[string][]byte{}, fs.ErrNotExist, "index.json"},
	} {
		if _, err := OpenSet("m.safetensors.index.json", open(c.files)); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, name := range []string{"model.ckpt", "pytorch_model.bin", "a/b.pt"} {
		if _, err := OpenSet(name, open(nil)); !errors.Is(err, ErrPickle) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFloat8: codes and values of torch.float8_e4m3fn and torch.float8_e5m2.
func TestFloat8(t *testing.T) {
	for _, c := range []struct {
		dtype string
		code  byte
		want  float32
	}{
		{"F8_E4M3", 0x00, 0}, {"F8_E4M3", 0x01, 0.001953125}, {"F8_E4M3", 0x07, 0.013671875}, {"F8_E4M3", 0x08, 0.015625},
		{"F8_E4M3", 0x38, 1}, {"F8_E4M3", 0x7e, 448}, {"F8_E4M3", 0xfe, -448}, {"F8_E4M3", 0xb9, -1.125},
		{"F8_E5M2", 0x01, 1.52587890625e-05}, {"F8_E5M2", 0x3c, 1}, {"F8_E5M2", 0x7b, 57344}, {"F8_E5M2", 0xbd, -1.25},
		{"F8_E5M2", 0x7c, float32(math.Inf(1))},
	} {
		got := make([]float32, 1)
		if err := Float32s(got, []byte{c.code}, c.dtype); err != nil || got[0] != c.want {
			t.Errorf("%s %#x is %v, want %v (%v)", c.dtype, c.code, got[0], c.want, err)
		}
	}
	nan := make([]float32, 2)
	if err := Float32s(nan, []byte{0x7f, 0xff}, "F8_E4M3"); err != nil || nan[0] == nan[0] || nan[1] == nan[1] {
		t.Errorf("all ones: %v", nan)
	}
}

// TestNonFinite: NaN and infinities of each type, and the largest values that
// are none.
func TestNonFinite(t *testing.T) {
	le := binary.LittleEndian
	two := func(v uint16) []byte { return le.AppendUint16(nil, v) }
	four := func(v uint32) []byte { return le.AppendUint32(nil, v) }
	eight := func(v float64) []byte { return le.AppendUint64(nil, math.Float64bits(v)) }
	for _, c := range []struct {
		dtype     string
		good, bad [][]byte
	}{
		{"F16", [][]byte{two(0), two(0x7bff), two(0xfbff)}, [][]byte{two(0x7c00), two(0xfc00), two(0x7e00), two(0xffff)}},
		{"BF16", [][]byte{two(0x7f7f), two(0xff7f)}, [][]byte{two(0x7f80), two(0x7fc0), two(0xff80)}},
		{"F32", [][]byte{four(0x7f7fffff)}, [][]byte{four(0x7f800000), four(0xff800000), four(0x7fc00000)}},
		{"F64", [][]byte{eight(math.MaxFloat64)}, [][]byte{eight(math.Inf(-1)), eight(math.NaN())}},
		{"F8_E4M3", [][]byte{{0x7e}, {0xfe}}, [][]byte{{0x7f}, {0xff}}},
		{"F8_E5M2", [][]byte{{0x7b}}, [][]byte{{0x7c}, {0xfd}}},
		{"I32", [][]byte{four(0x7fc00000)}, nil},
	} {
		all := bytes.Join(c.good, nil)
		if i := NonFinite(all, c.dtype); i != -1 {
			t.Errorf("%s: element %d of %x", c.dtype, i, all)
		}
		for _, bad := range c.bad {
			if i := NonFinite(append(bytes.Clone(all), bad...), c.dtype); i != len(c.good) {
				t.Errorf("%s: %x is seen at %d, want %d", c.dtype, bad, i, len(c.good))
			}
		}
	}
}

func TestConvert(t *testing.T) {
	le := binary.LittleEndian
	f64 := le.AppendUint64(nil, math.Float64bits(0.1))
	got := make([]float32, 1)
	if err := Float32s(got, f64, "F64"); err != nil || got[0] != 0.1 {
		t.Errorf("F64: %v, %v", got, err)
	}
	if err := Float32s(got, f64, "I64"); err == nil {
		t.Error("I64 became floats")
	}
	ints := make([]int32, 1)
	for _, c := range []struct {
		dtype string
		b     []byte
		want  int32
	}{
		{"I64", le.AppendUint64(nil, math.MaxUint64-4), -5}, {"I32", le.AppendUint32(nil, math.MaxUint32), -1},
		{"U32", le.AppendUint32(nil, 7), 7}, {"I16", []byte{0xfe, 0xff}, -2}, {"U16", []byte{0xfe, 0xff}, 65534},
		{"I8", []byte{0x80}, -128}, {"U8", []byte{0x80}, 128}, {"BOOL", []byte{1}, 1},
	} {
		if err := Int32s(ints, c.b, c.dtype); err != nil || ints[0] != c.want {
			t.Errorf("%s: %v, %v", c.dtype, ints, err)
		}
	}
	if err := Int32s(ints, le.AppendUint64(nil, 1<<40), "I64"); err == nil {
		t.Error("2^40 fitted 32 bits")
	}
	if err := Int32s(ints, []byte{0, 0}, "F16"); err == nil {
		t.Error("F16 became integers")
	}
}

// FuzzParse: a header is refused, or every tensor of it can be read.
func FuzzParse(f *testing.F) {
	f.Add(encode(`{"a":{"dtype":"F16","shape":[2,1],"data_offsets":[0,4]},"__metadata__":{"x":"y"}}`, 4))
	f.Add(encode(`{}`, 0))
	f.Add([]byte(`{":{"dty`)) // text in its place
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := parse(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrPickle) && !errors.Is(err, ErrText) {
				t.Fatal(err)
			}
			return
		}
		for _, x := range file.Tensors {
			data, err := io.ReadAll(file.Section(x))
			if err != nil || int64(len(data)) != x.Size || x.Elems()*Width(x.DType) != len(data) {
				t.Fatalf("%v: %d bytes, %v", x, len(data), err)
			}
		}
	})
}

// FuzzIndex: an index is refused or names files beside it.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"weight_map":{"a":"2.safetensors"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		shards, err := readIndex("i.index.json", open(map[string][]byte{"i.index.json": b}))
		if err != nil {
			return
		}
		for _, s := range shards {
			if strings.ContainsAny(s.file, `/\:`) || s.file == "" || len(s.tensors) == 0 {
				t.Fatalf("shard %q", s.file)
			}
		}
	})
}
