package token

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// config is what the files beside a CLIP tokenizer's vocabulary say.
type config struct {
	BOS       special            `json:"bos_token"`
	EOS       special            `json:"eos_token"`
	UNK       special            `json:"unk_token"`
	PAD       special            `json:"pad_token"`
	More      extras             `json:"additional_special_tokens"`
	Extra     extras             `json:"extra_special_tokens"`
	MaxLength float64            `json:"model_max_length"`
	Added     map[string]special `json:"added_tokens_decoder"` // by id, in decimal
	listed    bool               // the configuration has Added
}

// special is one special token: a plain string or an object.
type special struct {
	Content    string `json:"content"`
	Special    bool   `json:"special"`
	Normalized *bool  `json:"normalized"` // looked for after normalisation, so in any case; nil: if not special
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
		s.Special = true
		return json.Unmarshal(data, &s.Content)
	}
	return json.Unmarshal(data, (*specialObject)(s))
}

// specialObject is special without its method.
type specialObject special

// mention is what a special token asks for.
func (s special) mention(id int32) mention {
	m := mention{added{s.Content, id, s.LStrip, s.RStrip, s.SingleWord}, !s.Special}
	if s.Normalized != nil {
		m.normalized = *s.Normalized
	}
	return m
}

// mention is an added token, and whether it is looked for after normalisation.
type mention struct {
	added
	normalized bool
}

// extras is a list of special tokens, or a map of them by role.
type extras []special

func (e *extras) UnmarshalJSON(data []byte) error {
	if data[0] != '{' {
		return json.Unmarshal(data, (*[]special)(e))
	}
	var roles map[string]special
	err := json.Unmarshal(data, &roles)
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		*e = append(*e, roles[role])
	}
	return err
}

// readConfig starts from CLIP's defaults. As in transformers, the older files count only where the configuration has
// no added_tokens_decoder: the special tokens map over it, and for added tokens added_tokens.json, then the list in
// tokenizer.json.
func readConfig(opt Options) (config, error) {
	clip := func(text string) special { return special{Content: text, Special: true} }
	c := config{BOS: clip("<|startoftext|>"), EOS: clip("<|endoftext|>"), UNK: clip("<|endoftext|>"), PAD: clip("<|endoftext|>")}
	if err := decode("tokenizer_config.json", opt.Config, &c); err != nil || c.Added != nil {
		c.listed = true
		return c, err
	}
	if err := decode("special_tokens_map.json", opt.SpecialMap, &c); err != nil {
		return c, err
	}
	c.Added = map[string]special{}
	var ids map[string]int64
	if err := decode("added_tokens.json", opt.Added, &ids); err != nil {
		return c, err
	}
	roles := map[string]bool{}
	for _, s := range c.roles() {
		roles[s.Content] = true
	}
	for text, id := range ids {
		c.Added[strconv.FormatInt(id, 10)] = special{Content: text, Special: roles[text]}
	}
	return c, nil
}

// decode reads a JSON file, which may be missing.
func decode(name string, data []byte, to any) error {
	if data == nil {
		return nil
	}
	if err := json.Unmarshal(data, to); err != nil {
		return fmt.Errorf("token: %s: %w: %w", name, err, ErrBadTokenizer)
	}
	return nil
}

// roles are the special tokens that are named one by one, the later over the earlier.
func (c config) roles() []special {
	return slices.Concat(c.More, c.Extra, []special{c.BOS, c.EOS, c.UNK, c.PAD})
}

// readTokenizer takes vocabulary and merges from a tokenizer.json and, where the configuration does not list them, the
// added tokens. The rest of the file is what CLIP's tokenizer does anyway, and transformers too takes no notice of it.
func (c *config) readTokenizer(opt Options) (map[string]int32, []pair, error) {
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
	if err := decode("tokenizer.json", opt.Tokenizer, &file); err != nil {
		return nil, nil, err
	}
	if file.Model.Vocab == nil {
		return nil, nil, fmt.Errorf("token: tokenizer.json: no model.vocab: %w", ErrBadTokenizer)
	}
	if !c.listed {
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

// addedTokens lists them, and enters into ids those that only the configuration has; one without an id gets the next.
// The last mention of a token decides how it is looked for, but the list of added tokens decides before any other.
func (c config) addedTokens(ids map[string]int32) ([]mention, error) {
	top := int32(-1)
	for key, s := range c.Added {
		id, err := strconv.ParseInt(key, 10, 32)
		if have, ok := ids[s.Content]; err != nil || id < 0 || id >= maxVocab || ok && have != int32(id) {
			return nil, fmt.Errorf("token: added tokens: %q is not the id of %q: %w", key, s.Content, ErrBadTokenizer)
		}
		ids[s.Content] = int32(id)
	}
	for _, id := range ids {
		top = max(top, id)
	}
	byText := map[string]mention{}
	for _, s := range slices.Concat(c.More, c.Extra) {
		if _, ok := ids[s.Content]; !ok && s.Content != "" && top+1 < maxVocab {
			top++
			ids[s.Content] = top
		}
	}
	for _, s := range slices.AppendSeq(c.roles(), maps.Values(c.Added)) {
		if id, ok := ids[s.Content]; ok {
			byText[s.Content] = s.mention(id)
		}
	}
	return slices.Collect(maps.Values(byText)), nil
}
