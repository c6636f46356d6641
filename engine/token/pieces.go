package token

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// PiecesFiles are the files of a Gemma or Llama tokenizer's directory, nil where there are none. One of Model and
// Tokenizer must be there; transformers reads Tokenizer where it has both.
type PiecesFiles struct {
	Model     []byte // tokenizer.model, as SentencePiece writes it
	Tokenizer []byte // tokenizer.json: the same
	Options   Options
}

// Pieces is the tokenizer of Gemma and Llama: SentencePiece's byte-pair encoding over characters, with bytes for those
// that have no piece; the same ids as GemmaTokenizer and LlamaTokenizer of transformers 5. It may be used concurrently.
type Pieces struct {
	raw         *finder // of added tokens
	ids         map[string]int32
	bpe         bpe
	bytes       [256]int32 // the id of a byte
	bos, eos    int32
	pad         int32
	begin, end  bool // a text is put between bos and eos
	mark, marks bool // white space is put before a text, before each part of it between added tokens
	top         int
}

// NewPieces reads a tokenizer. Errors wrap ErrBadTokenizer.
func NewPieces(f PiecesFiles) (*Pieces, error) {
	about := struct {
		Class  string `json:"tokenizer_class"`
		Begin  *bool  `json:"add_bos_token"`
		End    *bool  `json:"add_eos_token"`
		Prefix *bool  `json:"add_prefix_space"`
		Legacy bool   `json:"legacy"`
	}{}
	if err := decode("tokenizer_config.json", f.Options.Config, &about); err != nil {
		return nil, err
	}
	llama := strings.HasPrefix(about.Class, "Llama")
	name := func(text string) special { return special{Content: text, Special: true} }
	c := config{BOS: name("<bos>"), EOS: name("<eos>"), UNK: name("<unk>"), PAD: name("<pad>")}
	if llama {
		c.BOS, c.EOS, c.PAD = name("<s>"), name("</s>"), name("")
	}
	if err := decode("tokenizer_config.json", f.Options.Config, &c); err != nil {
		return nil, err
	}
	c.listed = c.Added != nil
	if !c.listed {
		c.Added = map[string]special{}
	}
	p := &Pieces{begin: true, mark: llama && (about.Prefix == nil || *about.Prefix)}
	p.marks = p.mark && about.Legacy
	var pairs []pair
	var err error
	f.Options.Tokenizer = f.Tokenizer
	if f.Tokenizer != nil {
		if p.ids, pairs, err = c.readTokenizer(f.Options); err == nil {
			p.begin, p.end, err = readTemplate(f.Tokenizer, c)
		}
	} else {
		p.ids, pairs, err = readPieces(f.Model, &c)
	}
	if err == nil {
		err = checkIDs(p.ids)
	}
	if err != nil {
		return nil, err
	}
	if about.Begin != nil {
		p.begin = *about.Begin
	}
	if about.End != nil {
		p.end = *about.End
	}
	return p, p.load(c, pairs)
}

// load enters added tokens, roles and merges.
func (p *Pieces) load(c config, pairs []pair) error {
	mentions, err := c.addedTokens(p.ids)
	if err != nil {
		return err
	}
	if p.raw, err = asWritten(mentions); err != nil {
		return err
	}
	c.PAD.Content = cmp.Or(c.PAD.Content, c.EOS.Content)
	for _, s := range []struct {
		to   *int32
		role string
		text string
	}{{&p.bos, "bos_token", c.BOS.Content}, {&p.eos, "eos_token", c.EOS.Content}, {&p.pad, "pad_token", c.PAD.Content}, {&p.bpe.unk, "unk_token", c.UNK.Content}} {
		id, ok := p.ids[s.text]
		if !ok {
			return fmt.Errorf("token: vocabulary: no %s %q: %w", s.role, s.text, ErrBadTokenizer)
		}
		*s.to = id
	}
	for _, id := range p.ids {
		p.top = max(p.top, int(id))
	}
	for i := range p.bytes {
		var ok bool
		if p.bytes[i], ok = p.ids[fmt.Sprintf("<0x%02X>", i)]; !ok {
			p.bytes[i] = -1
		}
	}
	return p.bpe.loadMerges(p.ids, pairs)
}

// readPieces takes the vocabulary from a tokenizer.model. A piece is merged from any two that make it; those of lower
// ids come first.
func readPieces(data []byte, c *config) (map[string]int32, []pair, error) {
	list, _, err := readSentencePiece(data)
	if err != nil {
		return nil, nil, err
	}
	if len(list) == 0 || len(list) > maxVocab {
		return nil, nil, fmt.Errorf("token: tokenizer.model: %d pieces: %w", len(list), ErrBadTokenizer)
	}
	ids := make(map[string]int32, len(list))
	for i, piece := range list {
		if len(piece.text) > maxPiece {
			return nil, nil, fmt.Errorf("token: tokenizer.model: piece %d has %d bytes: %w", i, len(piece.text), ErrBadTokenizer)
		}
		ids[piece.text] = int32(i)
		if piece.added {
			c.More = append(c.More, special{Content: piece.text, Special: true})
		}
	}
	var pairs []pair
	for _, piece := range list {
		for at := range piece.text { // where characters begin
			if at == 0 {
				continue
			}
			left, right := piece.text[:at], piece.text[at:]
			if _, ok := ids[left]; !ok {
				continue
			}
			if _, ok := ids[right]; ok {
				pairs = append(pairs, pair{left, right})
			}
		}
	}
	return ids, pairs, nil
}

// readTemplate tells whether a tokenizer.json puts a text between the begin and the end token.
func readTemplate(data []byte, c config) (begin, end bool, err error) {
	type processor struct {
		Single []struct {
			Special *struct {
				ID string `json:"id"`
			} `json:"SpecialToken"`
		} `json:"single"`
	}
	var file struct {
		Post *struct {
			processor
			List []processor `json:"processors"`
		} `json:"post_processor"`
	}
	if err := decode("tokenizer.json", data, &file); err != nil || file.Post == nil {
		return false, false, err
	}
	for _, p := range append(file.Post.List, file.Post.processor) {
		for _, part := range p.Single {
			if part.Special != nil {
				begin = begin || part.Special.ID == c.BOS.Content
				end = end || part.Special.ID == c.EOS.Content
			}
		}
	}
	return begin, end, nil
}

// Pad is the id that fills up a text.
func (p *Pieces) Pad() int32 { return p.pad }

// VocabSize is one more than the largest id there is.
func (p *Pieces) VocabSize() int { return p.top + 1 }

// Encode gives the ids of text between the tokens that begin and end one, at most limit in all; truncated says that the
// text had more and lost its end. Invalid UTF-8 counts as U+FFFD.
func (p *Pieces) Encode(text string, limit int) (ids []int32, truncated bool) {
	if p.begin {
		ids = append(ids, p.bos)
	}
	if p.end {
		limit--
	}
	var m merger
	first := true
	p.raw.cut(strings.ToValidUTF8(text, "\ufffd"), func(id int32, text string) bool {
		if text == "" {
			ids = append(ids, id)
		} else {
			text = strings.ReplaceAll(text, " ", mark)
			if (p.marks || p.mark && first) && !strings.HasPrefix(text, mark) {
				text = mark + text
			}
			ids = append(ids, p.word(&m, text)...)
		}
		first = false
		return len(ids) <= limit
	})
	if truncated = len(ids) > limit; truncated {
		ids = ids[:max(0, limit)]
	}
	if p.end {
		ids = append(ids, p.eos)
	}
	return ids, truncated
}

// word merges the characters of a text.
func (p *Pieces) word(m *merger, text string) []int32 {
	m.symbols, m.queue, m.ids = m.symbols[:0], m.queue[:0], m.ids[:0]
	add := func(id int32) {
		n := int32(len(m.symbols))
		if n > 0 && id == p.bpe.unk && m.symbols[n-1].id == id {
			return // neighbours without a piece are one
		}
		m.symbols = append(m.symbols, symbol{id, n - 1, n + 1})
	}
	for text != "" {
		_, n := utf8.DecodeRuneInString(text)
		char := text[:n]
		text = text[n:]
		id, ok := p.ids[char]
		switch {
		case ok:
			add(id)
		case slices.ContainsFunc([]byte(char), func(b byte) bool { return p.bytes[b] < 0 }):
			add(p.bpe.unk)
		default:
			for _, b := range []byte(char) {
				add(p.bytes[b])
			}
		}
	}
	if n := len(m.symbols); n > 0 {
		m.symbols[n-1].next = -1
	}
	return m.run(&p.bpe)
}
