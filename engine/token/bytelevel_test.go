package token

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

func TestByteLevelMatchesTransformers(t *testing.T) {
	var strings randomStrings
	if err := json.Unmarshal(read(t, "random.json"), &strings); err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Config json.RawMessage
		Hashes []string
		Odd    [][2]json.RawMessage // text, ids
	}
	if err := json.Unmarshal(read(t, "bytelevel/hashes.json"), &golden); err != nil {
		t.Fatal(err)
	}
	b, err := NewByteLevel(read(t, "bytelevel/vocab.json"), read(t, "bytelevel/merges.txt"), Options{Config: golden.Config})
	if err != nil {
		t.Fatal(err)
	}
	for _, odd := range golden.Odd {
		var text string
		var want []int32
		if json.Unmarshal(odd[0], &text) != nil || json.Unmarshal(odd[1], &want) != nil {
			t.Fatal("hashes.json: odd")
		}
		if got, cut := b.Encode(text, 1000); !slices.Equal(got, want) || cut {
			t.Errorf("%q gives %v, want %v", text, got, want)
		}
	}
	strings.Hashes, strings.First = map[string][]string{"bytelevel": golden.Hashes}, nil
	strings.check(t, "bytelevel", func(s string) []int32 {
		ids, _ := b.Encode(s, 10_000)
		return ids
	})
	if ids, cut := b.Encode("red cat red cat", 3); len(ids) != 3 || !cut {
		t.Errorf("cut to 3: %v, %v", ids, cut)
	}
}

func TestBadByteLevel(t *testing.T) {
	if _, err := NewByteLevel([]byte(`{"a": 0, "<|endoftext|>": 1}`), nil, Options{}); !errors.Is(err, ErrBadTokenizer) {
		t.Errorf("a vocabulary without bytes: %v", err)
	}
	if _, err := NewByteLevel([]byte(`{"a": 0}`), nil, Options{}); !errors.Is(err, ErrBadTokenizer) {
		t.Errorf("a vocabulary without padding: %v", err)
	}
}
