package loader

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestManifestRoundTrip(t *testing.T) {
	src, _ := sample()
	m, err := ParseManifest(src[ManifestName])
	if err != nil {
		t.Fatal(err)
	}
	again, err := m.Encode()
	if err != nil || !bytes.Equal(again, src[ManifestName]) {
		t.Errorf("encoded again it differs (%v):\n%s", err, again)
	}
}

// old is a manifest without the digest, as they were before it.
func old(text []byte) []byte {
	rest, _ := cutDigest(text)
	return append(bytes.Clone(bytes.TrimSuffix(rest, []byte(",\n"))), "}\n"...)
}

// sealed gives an old manifest its digest.
func sealed(text []byte) []byte {
	return appendDigest(append(bytes.Clone(bytes.TrimSuffix(text, []byte("}\n"))), ",\n"...))
}

// TestOldManifest: one without a digest opens, and sealed is the new one.
func TestOldManifest(t *testing.T) {
	src, want := sample()
	text := old(src[ManifestName])
	if bytes.Contains(text, []byte("digest")) || !bytes.Equal(sealed(text), src[ManifestName]) {
		t.Fatalf("%s", text)
	}
	src[ManifestName] = text
	got, err := load(t, src, nil, Options{})
	if err == nil {
		err = sameTensors(got, want)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestManifestDamage: no flipped bit, no byte cut or added leaves a manifest
// that is read.
func TestManifestDamage(t *testing.T) {
	src, _ := sample()
	good := src[ManifestName]
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		for _, text := range [][]byte{bad, good[:i], append(bytes.Clone(good[:i]), good[i+1:]...), append(append(bytes.Clone(good[:i]), ' '), good[i:]...)} {
			if _, err := ParseManifest(text); !errors.Is(err, ErrBadModel) {
				t.Fatalf("byte %d: %v\n%s", i, err, text)
			}
		}
	}
	lines := bytes.SplitAfter(good, []byte("\n"))
	at := slices.IndexFunc(lines, func(l []byte) bool { return bytes.HasPrefix(l, []byte(`{"sha256"`)) }) + 5
	lines[at], lines[at+1] = lines[at+1], lines[at]
	if _, err := ParseManifest(bytes.Join(lines, nil)); !errors.Is(err, errDamaged) {
		t.Errorf("two chunks' rows exchanged: %v", err)
	}
	if _, err := ParseManifest(append(bytes.Clone(good), '\n')); err == nil {
		t.Error("a line after the digest was taken")
	}
}

// TestHostileManifests: each edit of a good manifest is refused with a message
// that names the trouble.
func TestHostileManifests(t *testing.T) {
	src, _ := sample()
	good := string(old(src[ManifestName]))
	m, err := ParseManifest([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	sha := m.Chunks[1].SHA256
	for _, c := range []struct{ name, old, new, want string }{
		{"not JSON", good, "<!doctype html>", "check the model's address"},
		{"not ours", `"format":"wisp"`, `"format":"gguf"`, "go run . pack"},
		{"no version", `"version":1,`, ``, "go run . pack"},
		{"later version", `"version":1`, `"version":3`, "update wisp"},
		{"later version, other types", `"version":1,"name":"test"`, `"version":9,"name":{"en":"x"}`, "update wisp"},
		{"early version", `"version":1`, `"version":0`, "pack it again"},
		{"wrong type", `"name":"test"`, `"name":7`, "name"},
		{"path in a hash", sha, "../../../../../../etc/passwd" + sha[28:], "64 lower-case hex digits"},
		{"short hash", sha, sha[:62], "64 lower-case hex digits"},
		{"upper case hash", sha, strings.ToUpper(sha), "64 lower-case hex digits"},
		{"negative stored size", `"stored":`, `"stored":-`, "outside 1 to"},
		{"huge raw size", `"raw":`, `"raw":1152921504606846976`, "manifest"},
		{"zero raw size", `"raw":1000`, `"raw":0`, "outside 1 to"},
		{"unknown chunk encoding", `"encoding":"raw"`, `"encoding":"brotli"`, "brotli"},
		{"raw with two sizes", `"raw":1000,"encoding":"raw"`, `"raw":999,"encoding":"raw"`, "is raw but"},
		{"path traversal", `"tokenizer/vocab.json"`, `"../vocab.json"`, "plain relative path"},
		{"absolute path", `"tokenizer/vocab.json"`, `"/etc/passwd"`, "plain relative path"},
		{"backslashes", `"tokenizer/vocab.json"`, `"..\\vocab.json"`, "plain relative path"},
		{"unknown component", `"component":"vae"`, `"component":"vea"`, "vea"},
		{"empty name", `"name":"decoder.w"`, `"name":""`, "name of 0 bytes"},
		{"duplicate tensor", `"name":"down.1"`, `"name":"down.0"`, "is there twice"},
		{"unknown dtype", `"dtype":"q8"`, `"dtype":"q3"`, `unknown dtype "q3"`},
		{"a later version's dtype", `"dtype":"q8","shape":[2,33],"chunk":20,"offset":200,"length":74`, `"dtype":"q2","shape":[2,33],"chunk":20,"offset":200,"length":22`, "version 1 of the format has not"},
		{"unknown tensor encoding", `"encoding":"planes"`, `"encoding":"rot13"`, "rot13"},
		{"planes of q8", `"dtype":"q8","shape":[2,33],"chunk":20,"offset":200,"length":74`, `"dtype":"q8","shape":[2,33],"chunk":20,"offset":200,"length":74,"encoding":"planes"`, "no byte planes"},
		{"negative extent", `"shape":[3,100]`, `"shape":[-3,-100]`, "at least 1"},
		{"zero extent", `"shape":[3,100]`, `"shape":[0,100]`, "at least 1"},
		{"huge shape", `"shape":[3,100]`, `"shape":[1152921504606846976,1152921504606846976]`, "below 2^31"},
		{"shape that wraps to its size", `"shape":[3,100]`, `"shape":[4294967296,4294967296,300]`, "below 2^31"},
		{"shape of fractions", `"shape":[3,100]`, `"shape":[1.5,200]`, "manifest"},
		{"many dimensions", `"shape":[3,100]`, `"shape":[1,1,1,1,1,1,1,3,100]`, "dimensions"},
		{"length too short", `"length":600`, `"length":598`, "takes 600 bytes"},
		{"2^60 length", `"length":600`, `"length":1152921504606846976`, "takes 600 bytes"},
		{"negative chunk", `"name":"down.0","dtype":"f16","shape":[3,100],"chunk":4`, `"name":"down.0","dtype":"f16","shape":[3,100],"chunk":-4`, "chunk -4"},
		{"chunk out of range", `"name":"down.0","dtype":"f16","shape":[3,100],"chunk":4`, `"name":"down.0","dtype":"f16","shape":[3,100],"chunk":4000`, "chunk 4000"},
		{"negative offset", `"chunk":4,"offset":0`, `"chunk":4,"offset":-1`, "starts at byte -1"},
		{"offset out of range", `"chunk":4,"offset":0`, `"chunk":4,"offset":1000`, "starts at byte 1000"},
		{"file beyond the end", `"length":13`, `"length":1152921504606846976`, "bytes left"},
		{"overlap", `"chunk":4,"offset":600`, `"chunk":4,"offset":598`, "overlap"},
		{"unknown key", `"name":"test"`, `"name":"test","nmae":"x"`, `unknown key "nmae"`},
		{"key in capitals", `"licence":`, `"Licence":`, `unknown key "Licence"`},
		{"key twice", `"name":"test"`, `"name":"test","name":"next"`, `"name" is there twice`},
		{"key of a tensor twice", `"dtype":"q8"`, `"dtype":"q8","dtype":"q8"`, `"dtype" is there twice`},
		{"unknown key of a tensor", `"encoding":"planes"`, `"encoeing":"planes"`, `unknown key "encoeing"`},
		{"unknown key of a chunk", `"stored":`, `"strored":`, "unknown key"},
		{"missing key", `"dtype":"q8",`, ``, "has no dtype"},
		{"component twice", `"vae":{`, `"vae":{"class":"A"},"vae":{`, "there twice"},
		{"config's key twice", `{"of":"vae"}`, `{"of":"vae","of":"vae"}`, `"of" is there twice`},
		{"digest elsewhere", `"name":"test"`, `"name":"test","digest":"` + sha + `"`, "last line"},
		{"deep config", `{"of":"vae"}`, strings.Repeat("[", 1000) + strings.Repeat("]", 1000), "64 levels"},
		{"not UTF-8", `"name":"test"`, "\"name\":\"te\xfft\"", "UTF-8"},
		{"many mirrors", `"name":"test"`, `"name":"test","mirrors":["https://a"` + strings.Repeat(`,"https://a"`, 16) + `]`, "more than 16"},
		{"text behind it", `]}`, `]}{}`, "the end"},
		{"cut element", `"shape":[3,100],"chunk":4,"offset":600,"length":600`, `"shape":[299],"chunk":4,"offset":601,"length":598`, "middle of an element"},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if bad == good {
			t.Errorf("%s: the edit does not apply", c.name)
			continue
		}
		_, err := ParseManifest([]byte(bad))
		if !errors.Is(err, ErrBadModel) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestHugeTensorIsRefused(t *testing.T) {
	for _, shape := range [][]int{{1 << 29}, {math.MaxInt32}, {1 << 16, 1 << 16}, {1 << 40, 1 << 40}} {
		if n, err := tensorSize("f32", shape); err == nil {
			t.Errorf("%v: %d bytes", shape, n)
		}
	}
}

// TestManifestThatLies: the chunks are what the manifest names, but do not
// hold what it says.
func TestManifestThatLies(t *testing.T) {
	b := newBuilder(1000)
	b.tensor("unet", "zeros", "i32", make([]byte, 800), 200)
	src := b.done()
	if b.man.Chunks[0].Encoding != "zstd" {
		t.Fatal("zeros were not compressed")
	}
	for name, raw := range map[string]int64{"less than raw": 804, "more than raw": 700, "much more than raw": 100} {
		man := b.man
		man.Chunks = []Chunk{b.man.Chunks[0]}
		man.Chunks[0].Raw = raw
		man.Tensors = []TensorInfo{{"unet", "zeros", "i32", []int{25}, Place{0, 0, 100}, ""}}
		text, err := man.Encode()
		if err != nil {
			t.Fatal(err)
		}
		src[ManifestName] = text
		m, err := Open(t.Context(), src, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Load(t.Context(), "unet", func(Tensor) error { return nil }); !errors.Is(err, ErrBadModel) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzManifest: whatever is accepted can be loaded from chunks of the declared
// sizes without a panic, each tensor with the bytes its shape asks for.
func FuzzManifest(f *testing.F) {
	src, _ := sample()
	f.Add(src[ManifestName])
	f.Add(old(src[ManifestName]))
	f.Add([]byte(`{"format":"wisp","version":1}`))
	f.Add([]byte(`{"format":"wisp","version":1,"components":{"a":{}},"chunks":[{"sha256":"` + strings.Repeat("0", 64) +
		`","stored":9,"raw":9,"encoding":"raw"}],"tensors":[{"component":"a","name":"x","dtype":"q4","shape":[2,3],"chunk":0,"offset":1,"length":8}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		man, err := ParseManifest(b)
		if err != nil {
			if !errors.Is(err, ErrBadModel) {
				t.Fatalf("%v", err)
			}
			return
		}
		var total int64
		for _, c := range man.Chunks {
			total += c.Raw
		}
		if total > 1<<22 {
			return
		}
		chunks := make([]raw, len(man.Chunks))
		for i, c := range man.Chunks {
			chunks[i] = raw{b: make([]byte, c.Raw)}
		}
		for i := range man.Tensors {
			ti := &man.Tensors[i]
			want, err := tensorSize(ti.DType, ti.Shape)
			if err != nil || want != ti.Length {
				t.Fatalf("%s: %s %v has %d bytes: %v", ti.Name, ti.DType, ti.Shape, ti.Length, err)
			}
			data := make([]byte, ti.Length)
			b, err := newBlock()
			if err != nil {
				t.Fatal(err)
			}
			for i := range data {
				data[i] = 1 // the chunks are zeros
			}
			if err := ti.put(func(i int) (raw, error) { return chunks[i], nil }, &outlet{ctx: t.Context(), b: b, w: memory(data)}); err != nil {
				t.Fatal(err)
			}
			if i := slices.Index(data, 1); i >= 0 {
				t.Fatalf("%s: byte %d of %d was not written", ti.Name, i, ti.Length)
			}
		}
	})
}

// TestPeakBytes: weights count in the type that they are kept in.
func TestPeakBytes(t *testing.T) {
	peak := func(dtype string) int64 {
		m := &Manifest{Tensors: []TensorInfo{{Component: "unet", DType: dtype, Shape: []int{1024, 1024}}, {Component: "vae", DType: "f32", Shape: []int{256}}}}
		return m.PeakBytes()
	}
	for dtype, bits := range map[string]float64{"f32": 32, "f16": 16, "q8": 8.5, "q4": 4.5, "q2": 2.125} {
		if got, want := peak(dtype), int64(2*bits/8*(1<<20)+1024); got != want {
			t.Errorf("%s: %d bytes, want %d", dtype, got, want)
		}
	}
}
