package token

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// WordPiece is the tokenizer of BERT (Devlin et al. 2018): words and signs, each cut into the longest pieces there are,
// the same ids as BertTokenizer of transformers 5. It may be used concurrently.
type WordPiece struct {
	raw                  *finder // of added tokens
	ids                  map[string]int32
	cls, sep, pad, unk   int32
	lower, strip, spaced bool // letters are lowered, accents left out, Chinese characters words of their own
	top                  int
}

// maxWord is how many characters of a word are looked at: a longer one is unknown.
const maxWord = 100

// NewWordPiece reads vocab.txt, a token a line, or finds it in opt.Tokenizer where that is not nil. Errors wrap
// ErrBadTokenizer.
func NewWordPiece(vocab []byte, opt Options) (*WordPiece, error) {
	name := func(text string) special { return special{Content: text, Special: true} }
	about := struct {
		CLS    special `json:"cls_token"`
		SEP    special `json:"sep_token"`
		Mask   special `json:"mask_token"`
		Lower  *bool   `json:"do_lower_case"`
		Spaced *bool   `json:"tokenize_chinese_chars"`
		Strip  *bool   `json:"strip_accents"`
	}{CLS: name("[CLS]"), SEP: name("[SEP]"), Mask: name("[MASK]")}
	c := config{UNK: name("[UNK]"), PAD: name("[PAD]")}
	for _, to := range []any{&about, &c} {
		if err := decode("tokenizer_config.json", opt.Config, to); err != nil {
			return nil, err
		}
	}
	if c.listed = c.Added != nil; !c.listed {
		c.Added = map[string]special{}
	}
	w := &WordPiece{lower: about.Lower == nil || *about.Lower, spaced: about.Spaced == nil || *about.Spaced}
	if w.strip = w.lower; about.Strip != nil {
		w.strip = *about.Strip
	}
	c.More = append(c.More, about.CLS, about.SEP, about.Mask)
	if err := w.read(vocab, &c, opt); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		to   *int32
		role string
		text string
	}{{&w.cls, "cls_token", about.CLS.Content}, {&w.sep, "sep_token", about.SEP.Content}, {&w.pad, "pad_token", c.PAD.Content}, {&w.unk, "unk_token", c.UNK.Content}} {
		id, ok := w.ids[s.text]
		if !ok {
			return nil, fmt.Errorf("token: vocabulary: no %s %q: %w", s.role, s.text, ErrBadTokenizer)
		}
		*s.to = id
	}
	for _, id := range w.ids {
		w.top = max(w.top, int(id))
	}
	return w, nil
}

// read takes the words and the added tokens from a vocabulary, a word a line,
// or from tokenizer.json.
func (w *WordPiece) read(vocab []byte, c *config, opt Options) (err error) {
	if opt.Tokenizer != nil {
		w.ids, _, err = c.readTokenizer(opt)
	} else {
		w.ids = map[string]int32{}
		for line := range strings.Lines(string(vocab)) {
			w.ids[strings.TrimRight(line, "\r\n")] = int32(len(w.ids))
		}
	}
	if err == nil {
		err = checkIDs(w.ids)
	}
	if err != nil {
		return err
	}
	mentions, err := c.addedTokens(w.ids)
	if err != nil {
		return err
	}
	w.raw, err = asWritten(mentions)
	return err
}

// VocabSize is one more than the largest id there is.
func (w *WordPiece) VocabSize() int { return w.top + 1 }

// Encode gives exactly length ids: the token that begins a text, the text's, the one that ends it, padding; and which of
// them are not padding. truncated says that the text had more than fits and lost its end. Invalid UTF-8 counts as U+FFFD.
func (w *WordPiece) Encode(text string, length int) (ids []int32, mask []float32, truncated bool) {
	ids = append(ids, w.cls)
	w.raw.cut(strings.ToValidUTF8(text, "\ufffd"), func(id int32, text string) bool {
		if text == "" {
			ids = append(ids, id)
		} else {
			ids = w.words(ids, w.normal(text), length)
		}
		return len(ids) < length
	})
	if truncated = len(ids) > length-1; truncated {
		ids = ids[:length-1]
	}
	ids = append(ids, w.sep)
	mask = make([]float32, length)
	for i := range ids {
		mask[i] = 1
	}
	for len(ids) < length {
		ids = append(ids, w.pad)
	}
	return ids, mask, truncated
}

// normal leaves out control characters and, with that set, accents, lowers letters, and puts spaces around Chinese
// characters.
func (w *WordPiece) normal(text string) string {
	var b strings.Builder
	d := loadUnicode()
	var parts []rune
	for _, r := range text {
		switch {
		case r == 0 || r == utf8.RuneError || r != '\t' && r != '\n' && r != '\r' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co):
			continue
		case unicode.IsSpace(r):
			r = ' '
		case w.spaced && chinese(r):
			b.WriteRune(' ')
			b.WriteRune(r)
			b.WriteRune(' ')
			continue
		}
		if parts = append(parts[:0], r); w.strip {
			parts = d.split(parts[:0], r)
		}
		for _, r := range parts {
			switch {
			case w.strip && unicode.Is(unicode.Mn, r):
			case w.lower && r == 'İ': // the one letter that becomes two
				b.WriteString("i̇")
			case w.lower:
				b.WriteRune(unicode.ToLower(r))
			default:
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

// chinese is whether r is of a block of Chinese characters, as BERT has them.
func chinese(r rune) bool {
	for _, block := range [][2]rune{
		{0x4e00, 0x9fff}, {0x3400, 0x4dbf}, {0x20000, 0x2a6df}, {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0xf900, 0xfaff}, {0x2f800, 0x2fa1f},
	} {
		if block[0] <= r && r <= block[1] {
			return true
		}
	}
	return false
}

// words appends the ids of text without added tokens, until there are limit.
func (w *WordPiece) words(ids []int32, text string, limit int) []int32 {
	for word := range strings.FieldsFuncSeq(text, unicode.IsSpace) {
		for word != "" && len(ids) <= limit {
			n := runLen(word, func(r rune) bool { return !isMark(r) })
			if n == 0 {
				_, n = utf8.DecodeRuneInString(word)
			}
			ids = w.word(ids, word[:n])
			word = word[n:]
		}
	}
	return ids
}

// isMark is whether r is a punctuation mark, each of which is a word. U+061D is newer than the table of the tokenizers
// library.
func isMark(r rune) bool {
	return unicode.IsPunct(r) && r != '\u061d' || r < 0x80 && unicode.IsSymbol(r)
}

// word appends the longest pieces of a word, one after the other, or the unknown one.
func (w *WordPiece) word(ids []int32, word string) []int32 {
	if utf8.RuneCountInString(word) > maxWord {
		return append(ids, w.unk)
	}
	first := len(ids)
	for rest := word; rest != ""; {
		end := len(rest)
		for end > 0 {
			piece := rest[:end]
			if len(rest) < len(word) {
				piece = "##" + piece
			}
			if id, ok := w.ids[piece]; ok {
				ids = append(ids, id)
				break
			}
			_, size := utf8.DecodeLastRuneInString(rest[:end])
			end -= size
		}
		if end == 0 {
			return append(ids[:first], w.unk)
		}
		rest = rest[end:]
	}
	return ids
}
