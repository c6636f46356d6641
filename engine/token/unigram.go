package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// UnigramFiles are the files of a T5 tokenizer's directory, nil where there are none. One of Model and Tokenizer
// must be there; transformers reads Tokenizer where it has both.
type UnigramFiles struct {
	Model     []byte // spiece.model: pieces, scores and the table of the normaliser, as SentencePiece writes them
	Tokenizer []byte // tokenizer.json: the same
	Options   Options
}

// Unigram is the tokenizer of T5 and mT5: SentencePiece's unigram language model (Kudo 2018), the same ids as
// T5Tokenizer of transformers 5. It may be used concurrently.
type Unigram struct {
	raw      *finder // of added tokens
	charsmap *charsmap
	ids      map[string]int32
	scores   []float64
	longest  int // bytes of a piece
	unk      int32
	unkScore float64
	eos, pad int32
}

// piece is one entry of a unigram model, whose id is its place.
type piece struct {
	text  string
	score float64
	added bool // it is looked for in the text itself
}

// maxPiece bounds a piece's bytes: what a prompt takes is linear in it.
const maxPiece = 256

// unkPenalty is how far a character without a piece scores below the worst piece.
const unkPenalty = 10

// NewUnigram reads a tokenizer. Errors wrap ErrBadTokenizer.
func NewUnigram(f UnigramFiles) (*Unigram, error) {
	name := func(text string) special { return special{Content: text, Special: true} }
	c := config{EOS: name("</s>"), UNK: name("<unk>"), PAD: name("<pad>")}
	if err := decode("tokenizer_config.json", f.Options.Config, &c); err != nil {
		return nil, err
	}
	var pieces []piece
	var table []byte
	var err error
	u := &Unigram{}
	if f.Tokenizer != nil {
		pieces, table, err = readUnigramJSON(f.Tokenizer)
	} else {
		pieces, table, err = readSentencePiece(f.Model)
		for i := 99; i >= 0 && err == nil; i-- { // T5's sentinels, which the model itself lacks
			pieces = append(pieces, piece{text: fmt.Sprintf("<extra_id_%d>", i)})
		}
	}
	if err == nil && table != nil {
		u.charsmap, err = newCharsmap(table)
	}
	if err != nil {
		return nil, err
	}
	if err := u.load(pieces); err != nil {
		return nil, err
	}
	return u, u.special(c, pieces)
}

// load enters the pieces.
func (u *Unigram) load(pieces []piece) error {
	if len(pieces) == 0 || len(pieces) > maxVocab {
		return fmt.Errorf("token: unigram model: %d pieces: %w", len(pieces), ErrBadTokenizer)
	}
	u.ids, u.scores = make(map[string]int32, len(pieces)), make([]float64, len(pieces))
	lowest := math.Inf(1)
	for i, p := range pieces {
		if len(p.text) > maxPiece || math.IsNaN(p.score) || math.IsInf(p.score, 0) {
			return fmt.Errorf("token: unigram model: piece %d, %.40q, of %d bytes and score %v: %w", i, p.text, len(p.text), p.score, ErrBadTokenizer)
		}
		u.ids[p.text], u.scores[i] = int32(i), p.score
		u.longest, lowest = max(u.longest, len(p.text)), min(lowest, p.score)
	}
	u.unkScore = lowest - unkPenalty
	return nil
}

// special finds the tokens with a role, and those that are looked for in the text.
func (u *Unigram) special(c config, pieces []piece) (err error) {
	for _, s := range []struct {
		to   *int32
		role string
		text string
	}{{&u.eos, "eos_token", c.EOS.Content}, {&u.unk, "unk_token", c.UNK.Content}, {&u.pad, "pad_token", c.PAD.Content}} {
		id, ok := u.ids[s.text]
		if !ok {
			return fmt.Errorf("token: unigram model: no %s %q: %w", s.role, s.text, ErrBadTokenizer)
		}
		*s.to = id
	}
	for _, p := range pieces {
		if p.added || strings.HasPrefix(p.text, "<extra_id_") {
			c.More = append(c.More, special{Content: p.text, Special: true})
		}
	}
	mentions, err := c.addedTokens(u.ids)
	if err != nil {
		return err
	}
	u.raw, err = asWritten(mentions)
	return err
}

// VocabSize is one more than the largest id there is.
func (u *Unigram) VocabSize() int {
	top := int32(len(u.scores) - 1)
	for _, t := range u.raw.tokens {
		top = max(top, t.id)
	}
	return int(top) + 1
}

// Encode gives exactly length ids: the text's, the end token, padding; and which of them are not padding. truncated
// says that the text had more than fits and lost its end. Invalid UTF-8 counts as U+FFFD.
func (u *Unigram) Encode(text string, length int) (ids []int32, mask []float32, truncated bool) {
	u.raw.cut(strings.ToValidUTF8(text, "\ufffd"), func(id int32, text string) bool {
		if text == "" {
			ids = append(ids, id)
		} else {
			ids = u.words(ids, text)
		}
		return len(ids) < length
	})
	if truncated = len(ids) > length-1; truncated {
		ids = ids[:length-1]
	}
	ids = append(ids, u.eos)
	mask = make([]float32, length)
	for i := range ids {
		mask[i] = 1
	}
	for len(ids) < length {
		ids = append(ids, u.pad)
	}
	return ids, mask, truncated
}

// words appends the ids of text without added tokens: normalised, cut at white space, each word with a mark before
// it.
func (u *Unigram) words(ids []int32, text string) []int32 {
	if u.charsmap != nil {
		text = u.charsmap.normalize(text)
	}
	for word := range strings.FieldsFuncSeq(text, unicode.IsSpace) {
		if !strings.HasPrefix(word, mark) {
			word = mark + word
		}
		for part := range cutBefore(word, mark) {
			ids = u.word(ids, part)
		}
	}
	return ids
}

// mark stands for the white space before a word.
const mark = "▁"

// cutBefore cuts s before each mark but one at its beginning.
func cutBefore(s, mark string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for s != "" {
			n := len(s)
			if at := strings.Index(s[min(len(mark), len(s)):], mark); at >= 0 && strings.HasPrefix(s, mark) {
				n = at + len(mark)
			} else if at := strings.Index(s, mark); at > 0 {
				n = at
			}
			if !yield(s[:n]) {
				return
			}
			s = s[n:]
		}
	}
}

// end is the best way to cut a word up to one of its bytes.
type end struct {
	start int // of its last piece; -1 for no way
	id    int32
	score float64
}

// word appends the most likely pieces of a word: Viterbi's algorithm over its characters. Characters without a piece
// are unknown, and neighbours among them one token.
func (u *Unigram) word(ids []int32, s string) []int32 {
	ends := make([]end, len(s)+1)
	for i := 1; i <= len(s); i++ {
		ends[i].start = -1
	}
	offer := func(from, to int, id int32, score float64) {
		score += ends[from].score
		if e := &ends[to]; e.start < 0 || score > e.score {
			*e = end{from, id, score}
		}
	}
	for i := 0; i < len(s); {
		_, size := utf8.DecodeRuneInString(s[i:])
		known := false
		for to := i + size; to <= len(s) && to-i <= u.longest; {
			if id, ok := u.ids[s[i:to]]; ok {
				offer(i, to, id, u.scores[id])
				known = known || to == i+size
			}
			_, next := utf8.DecodeRuneInString(s[to:])
			to += max(next, 1)
		}
		if !known {
			offer(i, i+size, u.unk, u.unkScore)
		}
		i += size
	}
	first := len(ids)
	for at := len(s); at > 0; at = ends[at].start {
		if id := ends[at].id; id != u.unk || len(ids) == first || ids[len(ids)-1] != u.unk {
			ids = append(ids, id)
		}
	}
	slices.Reverse(ids[first:])
	return ids
}

// jsonPiece is an entry ["text", score], of which there are as many as pieces: it
// is read in place.
type jsonPiece struct {
	text  string
	score float64
	wrong bool
}

// UnmarshalJSON reads an entry; one of another form is told of by whoever knows
// its place.
func (p *jsonPiece) UnmarshalJSON(b []byte) error {
	p.wrong = true
	at := bytes.LastIndexByte(b, ',')
	if b[0] != '[' || at < 0 {
		return nil
	}
	text, number := bytes.TrimSpace(b[1:at]), bytes.TrimSpace(b[at+1:len(b)-1])
	score, err := strconv.ParseFloat(string(number), 64)
	if err != nil || len(text) < 2 || text[0] != '"' {
		return nil
	}
	if inside := text[1 : len(text)-1]; bytes.ContainsAny(inside, `"\\`) {
		err = json.Unmarshal(text, &p.text)
	} else {
		p.text = string(inside)
	}
	p.score, p.wrong = score, err != nil
	return nil
}

// readUnigramJSON takes pieces and the normaliser's table from a tokenizer.json.
func readUnigramJSON(data []byte) (pieces []piece, table []byte, err error) {
	type normalizer struct {
		Type  string  `json:"type"`
		Table *string `json:"precompiled_charsmap"`
	}
	var file struct {
		Normalizer *struct {
			normalizer
			List []normalizer `json:"normalizers"`
		} `json:"normalizer"`
		Model struct {
			Type  string      `json:"type"`
			Vocab []jsonPiece `json:"vocab"`
		} `json:"model"`
		Added []struct {
			Content string `json:"content"`
		} `json:"added_tokens"`
	}
	if err := decode("tokenizer.json", data, &file); err != nil {
		return nil, nil, err
	}
	if file.Model.Type != "" && file.Model.Type != "Unigram" {
		return nil, nil, fmt.Errorf("token: tokenizer.json: model.type is %q, want Unigram: %w", file.Model.Type, ErrBadTokenizer)
	}
	added := map[string]bool{}
	for _, a := range file.Added {
		added[a.Content] = true
	}
	pieces = make([]piece, 0, len(file.Model.Vocab))
	for i, p := range file.Model.Vocab {
		if p.wrong {
			return nil, nil, fmt.Errorf("token: tokenizer.json: model.vocab: entry %d is no piece and score: %w", i, ErrBadTokenizer)
		}
		pieces = append(pieces, piece{text: p.text, score: p.score, added: added[p.text]})
	}
	if file.Normalizer == nil {
		return pieces, nil, nil
	}
	for _, n := range append(file.Normalizer.List, file.Normalizer.normalizer) {
		if n.Type == "Precompiled" && n.Table != nil {
			table, err = base64.StdEncoding.DecodeString(*n.Table)
			if err != nil {
				return nil, nil, fmt.Errorf("token: tokenizer.json: precompiled_charsmap: %w: %w", err, ErrBadTokenizer)
			}
			return pieces, table, nil
		}
	}
	return pieces, nil, nil
}
