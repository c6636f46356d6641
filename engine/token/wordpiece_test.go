package token

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

func TestWordPieceMatchesTransformers(t *testing.T) {
	var strings randomStrings
	if err := json.Unmarshal(read(t, "random.json"), &strings); err != nil {
		t.Fatal(err)
	}
	strings.First = nil
	var golden map[string]struct {
		Config json.RawMessage
		Hashes []string
		Odd    [][2]json.RawMessage // text, ids
	}
	if err := json.Unmarshal(read(t, "wordpiece/hashes.json"), &golden); err != nil {
		t.Fatal(err)
	}
	vocab, saved := read(t, "wordpiece/vocab.txt"), unzip(t, "wordpiece/tokenizer.json.gz")
	for name, g := range golden {
		strings.Hashes = map[string][]string{name: g.Hashes}
		for _, opt := range []Options{{Config: g.Config}, {Config: g.Config, Tokenizer: saved}} {
			w, err := NewWordPiece(vocab, opt)
			if err != nil {
				t.Fatal(err)
			}
			encode := func(s string) []int32 {
				ids, mask, _ := w.Encode(s, 2000)
				return ids[:slices.Index(append(mask, 0), 0)]
			}
			for _, odd := range g.Odd {
				var text string
				var want []int32
				if json.Unmarshal(odd[0], &text) != nil || json.Unmarshal(odd[1], &want) != nil {
					t.Fatal("hashes.json: odd")
				}
				if got := encode(text); !slices.Equal(got, want) {
					t.Errorf("%s: %q gives %v, want %v", name, text, got, want)
				}
			}
			strings.check(t, name, encode)
			if ids, mask, cut := w.Encode("red cat red cat", 4); len(ids) != 4 || !cut || ids[3] != w.sep || mask[3] != 1 {
				t.Errorf("%s: cut to 4: %v, %v, %v", name, ids, mask, cut)
			}
		}
	}
}

func TestBadWordPiece(t *testing.T) {
	if _, err := NewWordPiece([]byte("[UNK]\n[CLS]\n[SEP]\n"), Options{}); !errors.Is(err, ErrBadTokenizer) {
		t.Errorf("a vocabulary without padding: %v", err)
	}
}
