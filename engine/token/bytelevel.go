package token

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ByteLevel is the tokenizer of Qwen 2 and 3: byte-pair encoding over bytes, without an end-of-word mark, the same ids
// as Qwen2Tokenizer of transformers 5. It may be used concurrently.
type ByteLevel struct {
	raw, normal *finder // of added tokens, before and after normalisation
	pad         int32
	top         int
	bpe         bpe
}

// NewByteLevel reads vocab.json and merges.txt, or finds both in opt.Tokenizer where that is not nil. Errors wrap
// ErrBadTokenizer.
func NewByteLevel(vocab, merges []byte, opt Options) (*ByteLevel, error) {
	end := special{Content: "<|endoftext|>", Special: true}
	c := config{EOS: end, PAD: end}
	if err := decode("tokenizer_config.json", opt.Config, &c); err != nil {
		return nil, err
	}
	c.listed = c.Added != nil
	if c.Added == nil {
		c.Added = map[string]special{}
	}
	var ids map[string]int32
	var pairs []pair
	var err error
	if opt.Tokenizer != nil {
		ids, pairs, err = c.readTokenizer(opt)
	} else if ids, err = readVocab(vocab); err == nil {
		pairs, err = readMerges(merges)
	}
	if err == nil {
		err = checkIDs(ids)
	}
	if err != nil {
		return nil, err
	}
	mentions, err := c.addedTokens(ids)
	if err != nil {
		return nil, err
	}
	t := &ByteLevel{}
	if t.raw, t.normal, err = byPlace(mentions, nfc); err != nil {
		return nil, err
	}
	var ok bool
	if t.pad, ok = ids[c.PAD.Content]; !ok {
		return nil, fmt.Errorf("token: vocabulary: no pad_token %q: %w", c.PAD.Content, ErrBadTokenizer)
	}
	for _, id := range ids {
		t.top = max(t.top, int(id))
	}
	t.bpe.unk = -1
	if err := t.bpe.load(ids, pairs); err != nil {
		return nil, err
	}
	if t.bpe.final = t.bpe.char; slices.Contains(t.bpe.char[:], -1) {
		return nil, fmt.Errorf("token: vocabulary: a byte has no token: %w", ErrBadTokenizer)
	}
	return t, nil
}

// Pad is the id that fills up a text.
func (t *ByteLevel) Pad() int32 { return t.pad }

// VocabSize is one more than the largest id there is.
func (t *ByteLevel) VocabSize() int { return t.top + 1 }

// Encode gives the ids of text, at most limit of them; truncated says that there were more. Invalid UTF-8 counts as
// U+FFFD.
func (t *ByteLevel) Encode(text string, limit int) (ids []int32, truncated bool) {
	var m merger
	take := func(id int32) bool {
		if truncated = len(ids) == limit; !truncated {
			ids = append(ids, id)
		}
		return !truncated
	}
	t.raw.cut(strings.ToValidUTF8(text, "\ufffd"), func(id int32, text string) bool {
		if text == "" {
			return take(id)
		}
		t.normal.cut(nfc(text), func(id int32, text string) bool {
			if text == "" {
				return take(id)
			}
			for text != "" && !truncated {
				n := qwenWord(text)
				for _, id := range m.word(&t.bpe, text[:n]) {
					if !take(id) {
						break
					}
				}
				text = text[n:]
			}
			return !truncated
		})
		return !truncated
	})
	return ids, truncated
}

// qwenWord is the length of what Qwen's pattern matches at the beginning of s, which is not empty:
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
func qwenWord(s string) int {
	if n := contraction(s); n > 0 {
		return n
	}
	r, n := utf8.DecodeRuneInString(s)
	letters := runLen(s, unicode.IsLetter)
	if letters == 0 && !lineBreak(r) && !unicode.IsNumber(r) {
		if after := runLen(s[n:], unicode.IsLetter); after > 0 {
			letters = n + after
		}
	}
	switch {
	case letters > 0:
		return letters
	case unicode.IsNumber(r):
		return n
	}
	from := 0
	if r == ' ' {
		from = n
	}
	if signs := runLen(s[from:], sign); signs > 0 {
		return from + signs + runLen(s[from+signs:], lineBreak)
	}
	space := runLen(s, unicode.IsSpace)
	if last := strings.LastIndexFunc(s[:space], lineBreak); last >= 0 {
		return last + 1
	}
	if _, last := utf8.DecodeLastRuneInString(s[:space]); space < len(s) && space > last {
		return space - last
	}
	return space
}

func lineBreak(r rune) bool { return r == '\r' || r == '\n' }

func sign(r rune) bool { return !unicode.IsSpace(r) && !unicode.IsLetter(r) && !unicode.IsNumber(r) }

// contraction is the length of a contraction's end in any case, 0 for none; the long s counts as one.
func contraction(s string) int {
	if s[0] != '\'' {
		return 0
	}
	for _, c := range contractions {
		at := 1
		for _, want := range c[1:] {
			r, n := utf8.DecodeRuneInString(s[at:])
			if unicode.ToLower(r) != want && !(want == 's' && r == 'ſ') {
				at = 0
				break
			}
			at += n
		}
		if at > 0 {
			return at
		}
	}
	return 0
}
