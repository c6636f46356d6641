package token

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

func TestPiecesMatchTransformers(t *testing.T) {
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
	if err := json.Unmarshal(read(t, "pieces/hashes.json"), &golden); err != nil {
		t.Fatal(err)
	}
	model, saved := unzip(t, "pieces/tokenizer.model.gz"), unzip(t, "pieces/tokenizer.json.gz")
	for name, g := range golden {
		strings.Hashes = map[string][]string{name: g.Hashes}
		for _, f := range []PiecesFiles{{Model: model}, {Model: model, Tokenizer: saved}} {
			f.Options.Config = g.Config
			p, err := NewPieces(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, odd := range g.Odd {
				var text string
				var want []int32
				if json.Unmarshal(odd[0], &text) != nil || json.Unmarshal(odd[1], &want) != nil {
					t.Fatal("hashes.json: odd")
				}
				if got, cut := p.Encode(text, 1000); !slices.Equal(got, want) || cut {
					t.Errorf("%s: %q gives %v, want %v", name, text, got, want)
				}
			}
			strings.check(t, name, func(s string) []int32 {
				ids, _ := p.Encode(s, 10_000)
				return ids
			})
			whole, _ := p.Encode("red cat red cat", 100)
			if ids, cut := p.Encode("red cat red cat", 3); len(ids) != 3 || !cut || ids[0] != whole[0] || name == "llama" && ids[2] != whole[len(whole)-1] {
				t.Errorf("%s: cut to 3: %v of %v, %v", name, ids, whole, cut)
			}
		}
	}
}

func TestBadPieces(t *testing.T) {
	for _, f := range []PiecesFiles{{}, {Model: []byte("no model")}, {Tokenizer: []byte(`{"model": {"vocab": {"a": 0}}}`)}} {
		if _, err := NewPieces(f); !errors.Is(err, ErrBadTokenizer) {
			t.Errorf("%q: %v", f.Model, err)
		}
	}
}
