// Package token turns a prompt into the ids a text encoder was trained on.
//
// It is arithmetic on strings: it knows nothing of networks or files, and takes the tokenizer's files as bytes.
// Start with NewCLIP and Encode here; split.go cuts text into words, merge.go turns a word into ids, special.go
// reads the tokenizer's configuration, added.go finds added tokens in a text, nfc.go is Unicode normalisation.
package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ErrBadTokenizer marks tokenizer files that are wrong or need something wisp does not do. The message names the
// file.
var ErrBadTokenizer = errors.New("bad tokenizer")

// Options are the other files of a CLIP tokenizer's directory, nil where there are none.
type Options struct {
	Config     []byte // tokenizer_config.json: special tokens, model_max_length
	SpecialMap []byte // special_tokens_map.json: special tokens, in older directories
	Added      []byte // added_tokens.json: ids of added tokens, in older directories
	Tokenizer  []byte // tokenizer.json: vocabulary, merges and added tokens; all that transformers 5 saves
}

// CLIP is the tokenizer of CLIP's text encoders: byte-level byte-pair encoding with an end-of-word mark (Radford
// et al. 2021), the same ids as CLIPTokenizer of transformers 5. It may be used concurrently.
type CLIP struct {
	raw, normal    *finder // of added tokens, before and after normalisation
	bos, eos, pad  int32
	maxLength, top int
	bpe            bpe
}

// defaultMaxLength is the length of CLIP's position table, taken where the configuration gives no sensible length
// (transformers writes 1e30 for "none").
const defaultMaxLength = 77

// largestMaxLength bounds what Encode allocates on a configuration's word.
const largestMaxLength = 1 << 16

// NewCLIP reads vocab.json (token to id) and merges.txt (one pair a line, best first), or finds both in opt.Tokenizer
// where that is not nil, as transformers does. Errors wrap ErrBadTokenizer.
func NewCLIP(vocab, merges []byte, opt Options) (*CLIP, error) {
	c, err := readConfig(opt)
	if err != nil {
		return nil, err
	}
	var ids map[string]int32
	var pairs []pair
	if opt.Tokenizer != nil {
		ids, pairs, err = c.readTokenizer(opt)
	} else if ids, err = readVocab(vocab); err == nil {
		pairs, err = readMerges(merges)
	}
	if err != nil {
		return nil, err
	}
	if err := checkIDs(ids); err != nil {
		return nil, err
	}
	t := &CLIP{maxLength: c.maxLength()}
	mentions, err := c.addedTokens(ids)
	if err != nil {
		return nil, err
	}
	if t.raw, t.normal, err = byPlace(mentions, normalize); err != nil {
		return nil, err
	}
	for _, special := range []struct {
		to   *int32
		role string
		text string
	}{
		{&t.bos, "bos_token", c.BOS.Content}, {&t.eos, "eos_token", c.EOS.Content},
		{&t.pad, "pad_token", c.PAD.Content}, {&t.bpe.unk, "unk_token", c.UNK.Content},
	} {
		id, ok := ids[special.text]
		if !ok {
			return nil, fmt.Errorf("token: vocabulary: no %s %q: %w", special.role, special.text, ErrBadTokenizer)
		}
		*special.to = id
	}
	for _, id := range ids {
		t.top = max(t.top, int(id))
	}
	if err := t.bpe.load(ids, pairs); err != nil {
		return nil, err
	}
	return t, nil
}

func readVocab(data []byte) (map[string]int32, error) {
	ids := map[string]int32{}
	if err := json.Unmarshal(data, &ids); err != nil {
		return nil, fmt.Errorf("token: vocab.json: %w: %w", err, ErrBadTokenizer)
	}
	return ids, nil
}

// checkIDs bounds ids, so that a table of them can be made.
func checkIDs(ids map[string]int32) error {
	for text, id := range ids {
		if id < 0 || id >= maxVocab {
			return fmt.Errorf("token: vocabulary: id %d of %q: %w", id, text, ErrBadTokenizer)
		}
	}
	return nil
}

const maxVocab = 1 << 24

// MaxLength is the length of what Encode returns.
func (t *CLIP) MaxLength() int { return t.maxLength }

// VocabSize is one more than the largest id there is: the rows an embedding table needs.
func (t *CLIP) VocabSize() int { return t.top + 1 }

// BOS, EOS and Pad are the ids that begin, end and fill up a text.
func (t *CLIP) BOS() int32 { return t.bos }

// EOS is described with BOS.
func (t *CLIP) EOS() int32 { return t.eos }

// Pad is described with BOS.
func (t *CLIP) Pad() int32 { return t.pad }

// IDs gives the ids of a text alone: no begin, no end, however many.
func (t *CLIP) IDs(text string) (ids []int32) {
	t.each(text, func(id int32) bool {
		ids = append(ids, id)
		return true
	})
	return ids
}

// Encode gives exactly MaxLength ids: the begin token, the text's, the end token, padding. truncated says that the
// text had more than fits and lost its end. Invalid UTF-8 counts as U+FFFD. The time taken is linear in the text
// up to a logarithm.
func (t *CLIP) Encode(text string) (ids []int32, truncated bool) {
	room := t.maxLength - 2
	ids = append(make([]int32, 0, t.maxLength), t.bos)
	t.each(text, func(id int32) bool {
		if truncated = len(ids) > room; !truncated {
			ids = append(ids, id)
		}
		return !truncated
	})
	ids = append(ids, t.eos)
	for len(ids) < t.maxLength {
		ids = append(ids, t.pad)
	}
	return ids, truncated
}

// each gives the ids of text, without begin and end, to yield until it returns false.
func (t *CLIP) each(text string, yield func(int32) bool) {
	text = strings.ToValidUTF8(text, "\ufffd")
	var m merger
	t.raw.cut(text, func(id int32, text string) bool {
		if text == "" {
			return yield(id)
		}
		more := true
		t.normal.cut(normalize(text), func(id int32, text string) bool {
			if text == "" {
				more = yield(id)
				return more
			}
			words(text, func(word string) bool {
				for _, id := range m.word(&t.bpe, word) {
					if more = yield(id); !more {
						break
					}
				}
				return more
			})
			return more
		})
		return more
	})
}

// pair is a merge; its rank is its place in the list.
type pair struct{ left, right string }

// readMerges reads merges.txt, whose first line may be a version comment.
func readMerges(data []byte) ([]pair, error) {
	var pairs []pair
	n := 0
	for line := range bytes.Lines(data) {
		n++
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" || strings.HasPrefix(text, "#version") {
			continue
		}
		p, ok := parsePair(text)
		if !ok {
			return nil, fmt.Errorf("token: merges.txt: line %d is not a pair: %w", n, ErrBadTokenizer)
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

func parsePair(text string) (pair, bool) {
	left, right, ok := strings.Cut(text, " ")
	return pair{left, right}, ok && left != "" && right != "" && !strings.Contains(right, " ")
}
