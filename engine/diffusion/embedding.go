package diffusion

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"wisp/engine"
)

// Textual inversion, Gal et al. 2022: words of a prompt that stand for learned
// vectors in the text encoders.

// Embedding is a word with its vectors.
type Embedding struct {
	Names   []string               // that mean it in a prompt
	Vectors map[string][][]float32 // by component, "text_encoder_2"; "" for whichever they fit
}

// worded is a [Kind] whose prompts CLIP reads.
type worded interface{ clips() []*clipText }

func (k *stableDiffusion) clips() []*clipText   { return []*clipText{k.text} }
func (k *stableDiffusionXL) clips() []*clipText { return k.texts[:] }
func (k *stableDiffusion3) clips() []*clipText  { return k.texts[:] }
func (k *flux) clips() []*clipText              { return []*clipText{k.clip} }

// AddEmbedding teaches the text encoders a word. Errors wrap ErrBadAdapter
// where its vectors fit none of them.
func (p *Pipeline) AddEmbedding(e Embedding) error {
	k, ok := p.kind.(worded)
	if !ok {
		return fmt.Errorf("%w: this model has no CLIP text encoder that could learn a word", ErrBadAdapter)
	}
	if len(e.Names) == 0 || slices.Contains(e.Names, "") {
		return fmt.Errorf("%w: an embedding without a name", ErrBadAdapter)
	}
	fits := map[*clipText][][]float32{}
	for _, c := range k.clips() {
		vectors := e.Vectors[c.component]
		if vectors == nil {
			vectors = e.Vectors[""]
		}
		wrong := slices.ContainsFunc(vectors, func(v []float32) bool { return len(v) != c.facts.Width })
		switch {
		case len(vectors) > 0 && !wrong:
			fits[c] = vectors
		case wrong && e.Vectors[""] == nil:
			return fmt.Errorf("%w: %s has vectors of %d numbers, %s takes %d: it was made for another model", ErrBadAdapter, e.Names[0], len(vectors[0]), c.component, c.facts.Width)
		}
	}
	if len(fits) == 0 {
		return fmt.Errorf("%w: the vectors of %s fit no text encoder of this model: it was made for another", ErrBadAdapter, e.Names[0])
	}
	for c, vectors := range fits {
		c.learn(e.Names, vectors)
		p.residency.programs.drop(func(key programKey) bool { return key.net == c.component })
	}
	clear(p.encoded)
	return nil
}

// word is a name that a text encoder has vectors for.
type word struct {
	names []string // the longest first
	ids   []int32
}

// find returns where a text first names the word, in letters of any case and with
// "embedding:" before it or not; from −1 where it does not.
func (w word) find(text string) (from, to int) {
	const mark = "embedding:"
	for from := range text {
		for _, n := range w.names {
			if k := foldedPrefix(text[from:], mark+n); k > 0 {
				return from, from + k
			}
		}
		for _, n := range w.names {
			if k := foldedPrefix(text[from:], n); k > 0 {
				return from, from + k
			}
		}
	}
	return -1, -1
}

// foldedPrefix is how many bytes of text are prefix but for the case of letters,
// 0 where it begins otherwise.
func foldedPrefix(text, prefix string) (n int) {
	for _, want := range prefix {
		r, size := utf8.DecodeRuneInString(text[n:])
		if r != want && !strings.EqualFold(string(r), string(want)) {
			return 0
		}
		n += size
	}
	return n
}

// learnedID is the first id that stands for a learned vector.
const learnedID = 1 << 24

// learn adds a word under its names.
func (c *clipText) learn(names []string, vectors [][]float32) {
	w := word{}
	for range vectors {
		w.ids = append(w.ids, int32(learnedID+len(c.learned)+len(w.ids)))
	}
	c.learned = append(c.learned, vectors...)
	w.names = slices.Clone(names)
	slices.SortFunc(w.names, func(a, b string) int { return len(b) - len(a) })
	c.words = append([]word{w}, c.words...)
}

// ids are the tokens of a text, and for its learned words the ids of their
// vectors.
func (c *clipText) ids(text string) []int32 { return c.idsOf(text, c.words) }

func (c *clipText) idsOf(text string, words []word) (ids []int32) {
	if len(words) == 0 || text == "" {
		return c.tokenizer.IDs(text)
	}
	from := 0
	for at := 0; ; {
		start, end := words[0].find(text[at:])
		if start < 0 {
			break
		}
		if start, end = start+at, end+at; apart(text, start) && apart(text, end) {
			ids = append(append(ids, c.idsOf(text[from:start], words[1:])...), words[0].ids...)
			from = end
		}
		at = end
	}
	return append(ids, c.idsOf(text[from:], words[1:])...)
}

// apart reports whether no word goes on over a place of a text.
func apart(text string, at int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:at])
	after, _ := utf8.DecodeRuneInString(text[at:])
	inWord := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	return !inWord(before) || !inWord(after)
}

// chunk is a text as one chunk of ids, cut where it is longer.
func (c *clipText) chunk(text string) (ids []int32, truncated bool) {
	if len(c.words) == 0 {
		return c.tokenizer.Encode(text)
	}
	t := c.tokenizer
	all := chunker{begin: t.BOS(), end: t.EOS(), pad: t.Pad(), length: t.MaxLength()}
	words := c.ids(text)
	if truncated = len(words) > all.room(); truncated {
		words = words[:all.room()]
	}
	for _, id := range words {
		all.add(id, 1)
	}
	all.close()
	return all.chunks[0].ids, truncated
}

// inject takes the learned vectors out of ids: the tokens that are left, with
// the inputs "injected" and "kept" of [model.Injected].
func (c *clipText) inject(ids []int32) (plain []int32, injected, kept engine.Tensor) {
	plain = slices.Clone(ids)
	vectors, keep := make([]float32, len(ids)*c.facts.Width), make([]float32, len(ids))
	for i, id := range ids {
		if keep[i] = 1; id >= learnedID {
			copy(vectors[i*c.facts.Width:], c.learned[id-learnedID])
			plain[i], keep[i] = 0, 0
		}
	}
	return plain, engine.FromFloat32s(vectors, 1, len(ids), c.facts.Width), engine.FromFloat32s(keep, 1, len(ids), 1)
}
