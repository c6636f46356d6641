package token

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func small(t testing.TB, opt Options) *CLIP {
	t.Helper()
	c, err := NewCLIP(read(t, "vocab.json"), read(t, "merges.txt"), opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewCLIPErrors(t *testing.T) {
	const vocab = `{"a":0,"b</w>":1,"ab</w>":2,"<|startoftext|>":3,"<|endoftext|>":4}`
	for _, c := range []struct {
		vocab, merges, config, special string
		want                           string
	}{
		{``, ``, ``, ``, "vocab.json"},
		{`[]`, ``, ``, ``, "vocab.json"},
		{`{"a":1.5}`, ``, ``, ``, "vocab.json"},
		{`{"a":-1}`, ``, ``, ``, `id -1 of "a"`},
		{`{"a":99999999999}`, ``, ``, ``, "vocab.json"},
		{`{"a":99999999}`, ``, ``, ``, `id 99999999 of "a"`},
		{`{"a":0}`, ``, ``, ``, `no bos_token "<|startoftext|>"`},
		{vocab, `a`, ``, ``, "merges.txt: line 1 is not a pair"},
		{vocab, "#version: 0.2\na b</w>\na b c", ``, ``, "merges.txt: line 3 is not a pair"},
		{vocab, " b", ``, ``, "merges.txt: line 1 is not a pair"},
		{vocab, "a c", ``, ``, `merge 1: "a", "c" or`},
		{vocab, "a a", ``, ``, `merge 1: "a", "a" or`},
		{vocab, ``, `{`, ``, "tokenizer_config.json"},
		{vocab, ``, `{"pad_token":3}`, ``, "tokenizer_config.json"},
		{vocab, ``, `{"pad_token":"!"}`, ``, `no pad_token "!"`},
		{vocab, ``, ``, `{"pad_token":"!"}`, `no pad_token "!"`},
		{vocab, ``, ``, `x`, "special_tokens_map.json"},
		{vocab, ``, `{"added_tokens_decoder":{"x":{"content":"q"}}}`, ``, "added tokens: \"x\" is not the id"},
		{vocab, ``, `{"added_tokens_decoder":{"-1":{"content":"q"}}}`, ``, "added tokens: \"-1\" is not the id"},
		{vocab, ``, `{"added_tokens_decoder":{"7":{"content":"a"}}}`, ``, "added tokens: \"7\" is not the id"},
	} {
		opt := Options{}
		if c.config != "" {
			opt.Config = []byte(c.config)
		}
		if c.special != "" {
			opt.SpecialMap = []byte(c.special)
		}
		_, err := NewCLIP([]byte(c.vocab), []byte(c.merges), opt)
		if !errors.Is(err, ErrBadTokenizer) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

func TestTokenizerJSON(t *testing.T) {
	const start = `{"added_tokens":[{"id":3,"content":"<|startoftext|>"},{"id":4,"content":"<|endoftext|>"}],"model":{
		"vocab":{"a":0,"b</w>":1,"ab</w>":2,"<|startoftext|>":3,"<|endoftext|>":4},"merges":`
	for _, merges := range []string{`[["a","b</w>"]]`, `["a b</w>"]`} {
		c, err := NewCLIP(nil, nil, Options{Tokenizer: []byte(start + merges + `}}`)})
		if err != nil {
			t.Fatal(err)
		}
		if ids, _ := c.Encode("ab"); [3]int32(ids[:3]) != [3]int32{3, 2, 4} {
			t.Errorf("%s: got %v", merges, ids[:3])
		}
	}
	for file, want := range map[string]string{
		`[]`:                           "tokenizer.json",
		`{}`:                           "no model.vocab",
		start + `["ab"]}}`:             "merge 1 is not a pair",
		start + `[["a"]]}}`:            "merge 1 is not a pair",
		start + `[3]}}`:                "merge 1 is not a pair",
		start + `[["a","c"]]}}`:        `merge 1: "a", "c" or`,
		`{"model":{"vocab":{"a":-1}}}`: `id -1 of "a"`,
	} {
		if _, err := NewCLIP(nil, nil, Options{Tokenizer: []byte(file)}); !errors.Is(err, ErrBadTokenizer) ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", file, err)
		}
	}
}

func TestConfigDetails(t *testing.T) {
	for config, want := range map[string]int{
		`{}`:                           77,
		`{"model_max_length":1e30}`:    77,
		`{"model_max_length":1}`:       77,
		`{"model_max_length":-5}`:      77,
		`{"model_max_length":2}`:       2,
		`{"model_max_length":64}`:      64,
		`{"pad_token":null}`:           77,
		`{"model_max_length":1000000}`: 77,
	} {
		c := small(t, Options{Config: []byte(config)})
		if ids, _ := c.Encode("a red heart"); len(ids) != want || c.MaxLength() != want {
			t.Errorf("%s: %d ids, want %d", config, len(ids), want)
		}
	}
	c := small(t, Options{Config: []byte(`{"added_tokens_decoder":{"5000":{"content":"<own>"}}}`)})
	if ids, _ := c.Encode("a<own>b"); ids[2] != 5000 || c.VocabSize() != 5001 {
		t.Errorf("added token: ids %v, vocabulary of %d", ids[:5], c.VocabSize())
	}
}

// What a byte has no token for becomes the unknown token.
func TestUnknownBytes(t *testing.T) {
	c, err := NewCLIP([]byte(`{"a":0,"b</w>":1,"ab</w>":2,"<|startoftext|>":3,"<|endoftext|>":4}`), []byte("a b</w>"),
		Options{Config: []byte(`{"model_max_length":8}`)})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][8]int32{
		"ab":    {3, 2, 4, 4, 4, 4, 4, 4},
		"aab b": {3, 0, 2, 1, 4, 4, 4, 4},
		"acb":   {3, 0, 4, 1, 4, 4, 4, 4},
		"a":     {3, 4, 4, 4, 4, 4, 4, 4},
	} {
		if got, _ := c.Encode(text); [8]int32(got) != want {
			t.Errorf("%q: got %v want %v", text, got, want)
		}
	}
}

func TestInvalidUTF8IsReplaced(t *testing.T) {
	c := small(t, Options{})
	got, _ := c.Encode("a\xff\xfeb\xc3")
	want, _ := c.Encode("a\ufffdb\ufffd")
	if [77]int32(got) != [77]int32(want) {
		t.Errorf("got %v want %v", got[:8], want[:8])
	}
}

// A prompt of a million characters, whether one word or many, takes well under a second even on a slow machine.
func TestLongPromptsAreNotQuadratic(t *testing.T) {
	c := small(t, Options{})
	for _, unit := range []string{"a", "ab", "e\u0301", "a ", "!", "1", " ", "'", "<", "<|endoftext|>", "\u0301", "\xff", "각", "<|ENDOFTEXT|"} {
		start := time.Now()
		c.Encode(strings.Repeat(unit, 1_000_000/len(unit)))
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%q: %v", unit, d)
		}
	}
}

// Nor does it matter how many tokens were added, or how much of them the prompt has.
func TestManyAddedTokens(t *testing.T) {
	var many strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&many, `,"%d":{"content":"aaa%x"}`, 5000+i, i)
	}
	for name, tokens := range map[string]string{
		"many": many.String(),
		"long": `,"5000":{"content":"` + strings.Repeat("a", 100_000) + `b"}`,
	} {
		c := small(t, Options{Config: []byte(`{"added_tokens_decoder":{"4000":{"content":"xyzzy"}` + tokens + `}}`)})
		start := time.Now()
		c.Encode(strings.Repeat("a", 100_000))
		if d := time.Since(start); d > time.Second {
			t.Errorf("%s: %v", name, d)
		}
	}
	huge := `{"added_tokens_decoder":{"4000":{"content":"` + strings.Repeat("a", maxAdded+1) + `"}}}`
	if _, err := NewCLIP(read(t, "vocab.json"), read(t, "merges.txt"), Options{Config: []byte(huge)}); !errors.Is(err, ErrBadTokenizer) {
		t.Errorf("tokens of %d bytes: %v", maxAdded+1, err)
	}
}

func TestNFCIsIdempotent(t *testing.T) {
	for r := rune(0); r < 0x30000; r++ {
		for _, s := range []string{string(r), "a\u0323" + string(r) + "\u0301"} {
			once := nfc(s)
			if twice := nfc(once); twice != once {
				t.Fatalf("%+q: %+q then %+q", s, once, twice)
			}
		}
	}
}

func FuzzEncode(f *testing.F) {
	c := small(f, Options{Config: []byte(`{"pad_token":"!"}`)})
	for _, s := range []string{"a red heart", "it's <|ENDOFTEXT|> 12", "e\u0301\u0323각", "\xff\xfe", "<|endoftext|>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ids, truncated := c.Encode(text)
		if len(ids) != c.MaxLength() || ids[0] != c.bos {
			t.Fatalf("%q: %v", text, ids)
		}
		for _, id := range ids {
			if id < 0 || int(id) >= c.VocabSize() {
				t.Errorf("%q: id %d of %d", text, id, c.VocabSize())
			}
		}
		if truncated && ids[len(ids)-1] != c.eos {
			t.Errorf("%q: truncated without its end token", text)
		}
	})
}

func FuzzNewCLIP(f *testing.F) {
	f.Add(`{"a":0,"b</w>":1,"ab</w>":2,"<|startoftext|>":3,"<|endoftext|>":4}`, "#version\na b</w>\n", `{"pad_token":"a"}`, `{}`)
	f.Add(`{"a":0}`, "a a", `{"added_tokens_decoder":{"1":{"content":"<|startoftext|>"},"2":"<|endoftext|>"}}`, `null`)
	f.Fuzz(func(t *testing.T, vocab, merges, config, special string) {
		c, err := NewCLIP([]byte(vocab), []byte(merges), Options{Config: []byte(config), SpecialMap: []byte(special)})
		if err != nil {
			if !errors.Is(err, ErrBadTokenizer) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		ids, _ := c.Encode("ab <|endoftext|> AB \u00e9 12")
		for _, id := range ids {
			if id < 0 || int(id) >= c.VocabSize() {
				t.Errorf("id %d of %d", id, c.VocabSize())
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	c := small(b, Options{})
	for b.Loop() {
		c.Encode("a highly detailed oil painting of an astronaut riding a horse, sunset")
	}
}
