package token

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// randomStrings is tests/golden/token/random.json: pieces to make strings of, and hashes of their ids.
type randomStrings struct {
	Pools  [][]string
	Count  int
	Block  int
	Hashes map[string][]string
	First  [][]int32
}

// each makes the strings, as unigram.py does.
func (r randomStrings) each(yield func(i int, s string) bool) {
	state := uint64(1)
	below := func(n int) int {
		state = state*6364136223846793005 + 1442695040888963407
		return int((state >> 33) % uint64(n))
	}
	for i := range r.Count {
		var b strings.Builder
		for range 1 + below(24) {
			pool := r.Pools[below(len(r.Pools))]
			b.WriteString(pool[below(len(pool))])
			if below(4) == 0 {
				b.WriteByte(' ')
			}
		}
		if !yield(i, b.String()) {
			return
		}
	}
}

// check holds a tokenizer to the hashes of that name.
func (r randomStrings) check(t *testing.T, name string, encode func(string) []int32) {
	t.Helper()
	h := sha256.New()
	bad := 0
	for i, s := range r.each {
		ids := encode(s)
		if i < len(r.First) && !slices.Equal(ids, r.First[i]) {
			t.Errorf("%s: %q gives %v, want %v", name, s, ids, r.First[i])
		}
		binary.Write(h, binary.LittleEndian, append(slices.Clone(ids), -1))
		if i%r.Block == r.Block-1 {
			if got := hex.EncodeToString(h.Sum(nil)); got != r.Hashes[name][i/r.Block] {
				bad++
			}
			h.Reset()
		}
	}
	if bad > 0 || r.Count < 10_000 {
		t.Errorf("%s: %d of %d blocks of strings differ from transformers", name, bad, r.Count/r.Block)
	}
}

func unzip(t *testing.T, name string) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(read(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestUnigramMatchesTransformers(t *testing.T) {
	var golden randomStrings
	if err := json.Unmarshal(read(t, "random.json"), &golden); err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string]UnigramFiles{
		"spiece.model":   {Model: unzip(t, "unigram/spiece.model.gz")},
		"tokenizer.json": {Tokenizer: unzip(t, "unigram/tokenizer.json.gz")},
	} {
		u, err := NewUnigram(files)
		if err != nil {
			t.Fatal(err)
		}
		golden.check(t, name, func(s string) []int32 {
			ids, mask, _ := u.Encode(s, 400)
			return ids[:slices.Index(append(mask, 0), 0)]
		})
	}
}

func TestUnigramPadsAndCuts(t *testing.T) {
	u, err := NewUnigram(UnigramFiles{Model: unzip(t, "unigram/spiece.model.gz")})
	if err != nil {
		t.Fatal(err)
	}
	ids, mask, cut := u.Encode("red cat", 12)
	if n := slices.Index(mask, 0); cut || len(ids) != 12 || n < 2 || ids[n-1] != u.eos || ids[11] != u.pad {
		t.Errorf("ids %v, mask %v, cut %v", ids, mask, cut)
	}
	ids, mask, cut = u.Encode(strings.Repeat("red cat ", 100), 12)
	if !cut || len(ids) != 12 || ids[11] != u.eos || slices.Contains(mask, 0) {
		t.Errorf("ids %v, mask %v, cut %v", ids, mask, cut)
	}
	if u.VocabSize() < 400 {
		t.Errorf("%d ids", u.VocabSize())
	}
}

func TestBadUnigram(t *testing.T) {
	model := unzip(t, "unigram/spiece.model.gz")
	for name, files := range map[string]UnigramFiles{
		"nothing":   {},
		"no model":  {Model: []byte("a web page")},
		"cut short": {Model: model[:len(model)-5]},
		"json":      {Tokenizer: []byte(`{"model": {"type": "BPE", "vocab": {}}}`)},
		"no eos":    {Tokenizer: []byte(`{"model": {"type": "Unigram", "vocab": [["<unk>", 0], ["<pad>", 0]]}}`)},
		"table":     {Tokenizer: []byte(`{"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAA"}, "model": {"vocab": [["<unk>", 0]]}}`)},
		"score":     {Tokenizer: []byte(`{"model": {"vocab": [["<unk>", "x"]]}}`)},
		"long":      {Tokenizer: []byte(`{"model": {"vocab": [["` + strings.Repeat("a", 300) + `", 0]]}}`)},
	} {
		if _, err := NewUnigram(files); !errors.Is(err, ErrBadTokenizer) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func FuzzUnigram(f *testing.F) {
	f.Add([]byte{0x0a, 0x09, 0x0a, 0x05, '<', 'u', 'n', 'k', '>', 0x18, 2}, "red cat")
	f.Fuzz(func(t *testing.T, model []byte, text string) {
		u, err := NewUnigram(UnigramFiles{Model: model})
		if err != nil {
			if !errors.Is(err, ErrBadTokenizer) {
				t.Error(err)
			}
			return
		}
		for _, id := range first(u.Encode(text, 64)) {
			if id < 0 || int(id) >= u.VocabSize() {
				t.Errorf("id %d of %d", id, u.VocabSize())
			}
		}
	})
}

func first(ids []int32, _ []float32, _ bool) []int32 { return ids }
