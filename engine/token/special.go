package token

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// config is what a CLIP tokenizer's tokenizer_config.json and special_tokens_map.json say.
type config struct {
	BOS       special            `json:"bos_token"`
	EOS       special            `json:"eos_token"`
	UNK       special            `json:"unk_token"`
	PAD       special            `json:"pad_token"`
	MaxLength float64            `json:"model_max_length"`
	Added     map[string]special `json:"added_tokens_decoder"` // by id, in decimal
}

// special is one special token: a plain string or an object.
type special struct {
	Content    string `json:"content"`
	Normalized bool   `json:"normalized"` // looked for after normalisation, so in any case
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	SingleWord bool   `json:"single_word"`
}

func (s *special) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil // the default stays
	}
	*s = special{}
	if data[0] == '"' {
		return json.Unmarshal(data, &s.Content)
	}
	return json.Unmarshal(data, (*specialObject)(s))
}

// specialObject is special without its method.
type specialObject special

// readConfig starts from CLIP's defaults. As in transformers, the map overrides the configuration unless that has
// an added_tokens_decoder.
func readConfig(opt Options) (config, error) {
	c := config{
		BOS: special{Content: "<|startoftext|>"}, EOS: special{Content: "<|endoftext|>"},
		UNK: special{Content: "<|endoftext|>"}, PAD: special{Content: "<|endoftext|>"},
	}
	if opt.Config != nil {
		if err := json.Unmarshal(opt.Config, &c); err != nil {
			return c, fmt.Errorf("token: tokenizer_config.json: %w: %w", err, ErrBadTokenizer)
		}
	}
	if opt.SpecialMap != nil && len(c.Added) == 0 {
		if err := json.Unmarshal(opt.SpecialMap, &c); err != nil {
			return c, fmt.Errorf("token: special_tokens_map.json: %w: %w", err, ErrBadTokenizer)
		}
	}
	return c, nil
}

// readTokenizer takes vocabulary and merges from a tokenizer.json and, where nothing else lists them, the added
// tokens. The rest of the file is what CLIP's tokenizer does anyway, and transformers too takes no notice of it.
func (c *config) readTokenizer(data []byte) (map[string]int32, []pair, error) {
	var file struct {
		Added []struct {
			ID int64 `json:"id"`
			specialObject
		} `json:"added_tokens"`
		Model struct {
			Vocab  map[string]int32  `json:"vocab"`
			Merges []json.RawMessage `json:"merges"`
		} `json:"model"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, nil, fmt.Errorf("token: tokenizer.json: %w: %w", err, ErrBadTokenizer)
	}
	if file.Model.Vocab == nil {
		return nil, nil, fmt.Errorf("token: tokenizer.json: no model.vocab: %w", ErrBadTokenizer)
	}
	if len(c.Added) == 0 {
		c.Added = map[string]special{}
		for _, a := range file.Added {
			c.Added[strconv.FormatInt(a.ID, 10)] = special(a.specialObject)
		}
	}
	var pairs []pair
	for i, raw := range file.Model.Merges {
		var text string
		var two []string
		p, ok := pair{}, false
		if json.Unmarshal(raw, &text) == nil {
			p, ok = parsePair(text)
		} else if json.Unmarshal(raw, &two) == nil && len(two) == 2 {
			p, ok = pair{two[0], two[1]}, true
		}
		if !ok {
			return nil, nil, fmt.Errorf("token: tokenizer.json: merge %d is not a pair: %w", i+1, ErrBadTokenizer)
		}
		pairs = append(pairs, p)
	}
	return file.Model.Vocab, pairs, nil
}

func (c config) maxLength() int {
	if c.MaxLength >= 2 && c.MaxLength <= largestMaxLength {
		return int(c.MaxLength)
	}
	return defaultMaxLength
}

// added is a token that is looked for in the text itself and cut out whole.
type added struct {
	text       string
	id         int32
	normalized bool // looked for after normalisation
}

// addedTokens lists them, and enters into ids those that only the configuration has. The last mention of a token
// decides where it is looked for, but added_tokens_decoder decides before any other.
func (c config) addedTokens(ids map[string]int32) ([]added, error) {
	mentions := []special{c.BOS, c.EOS, c.UNK, c.PAD}
	for key, s := range c.Added {
		id, err := strconv.ParseInt(key, 10, 32)
		if have, ok := ids[s.Content]; err != nil || id < 0 || id >= maxVocab || ok && have != int32(id) {
			return nil, fmt.Errorf("token: added_tokens_decoder: %q is not the id of %q: %w", key, s.Content, ErrBadTokenizer)
		}
		ids[s.Content] = int32(id)
		mentions = append(mentions, s)
	}
	byText := map[string]added{}
	for _, s := range mentions {
		if s.LStrip || s.RStrip || s.SingleWord {
			return nil, fmt.Errorf("token: special token %q: lstrip, rstrip and single_word are not supported: %w",
				s.Content, ErrBadTokenizer)
		}
		if id, ok := ids[s.Content]; ok && s.Content != "" {
			byText[s.Content] = added{s.Content, id, s.Normalized}
		}
	}
	var list []added
	for _, a := range byText {
		if a.normalized {
			a.text = normalize(a.text)
		}
		if a.text != "" {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b added) int { return int(a.id) - int(b.id) })
	return list, nil
}

// cut gives yield the added tokens found in s (text empty) and the text between them, in order, until it returns
// false. Of the tokens that start at one place the longest wins.
func cut(s string, list []added, normalized bool, yield func(id int32, text string) bool) {
	first := firstBytes(list, normalized)
	start := 0
	for i := 0; i < len(s); {
		next := strings.IndexAny(s[i:], first)
		if next < 0 {
			break
		}
		i += next
		found := longest(s[i:], list, normalized)
		if found.text == "" {
			i++
			continue
		}
		if i > start && !yield(0, s[start:i]) || !yield(found.id, "") {
			return
		}
		i += len(found.text)
		start = i
	}
	if start < len(s) {
		yield(0, s[start:])
	}
}

// firstBytes are the characters the tokens start with.
func firstBytes(list []added, normalized bool) string {
	var b strings.Builder
	for _, a := range list {
		if a.normalized == normalized {
			for _, r := range a.text {
				b.WriteRune(r)
				break
			}
		}
	}
	return b.String()
}

func longest(s string, list []added, normalized bool) (best added) {
	for _, a := range list {
		if a.normalized == normalized && len(a.text) > len(best.text) && strings.HasPrefix(s, a.text) {
			best = a
		}
	}
	return best
}
