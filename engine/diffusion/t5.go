package diffusion

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/engine/token"
)

// t5Text is a T5 or mT5 encoder with its tokenizer.
type t5Text struct {
	component, folder string // of the weights, of the tokenizer
	tokens            int    // the length of every prompt, as the pipeline pads it
	masked            bool   // padding is hidden from the encoder
	config            []byte
	facts             model.TextFacts
	tokenizer         padder // nil before open
}

// padder is a tokenizer that gives exactly length ids and which of them are not
// padding.
type padder interface {
	Encode(text string, length int) (ids []int32, mask []float32, truncated bool)
	VocabSize() int
}

// padded fills up what a [token.Pieces] gives.
type padded struct{ *token.Pieces }

func (p padded) Encode(text string, length int) (ids []int32, mask []float32, truncated bool) {
	ids, truncated = p.Pieces.Encode(text, length)
	mask = make([]float32, length)
	for i := range ids {
		mask[i] = 1
	}
	for len(ids) < length {
		ids = append(ids, p.Pad())
	}
	return ids, mask, truncated
}

// openPieces reads a Gemma or Llama tokenizer from a folder; nil where it is
// another's.
func openPieces(m Model, folder string) (*token.Pieces, error) {
	var f token.PiecesFiles
	f.Model, _ = m.File(folder + "/tokenizer.model")
	f.Tokenizer, _ = m.File(folder + "/tokenizer.json")
	f.Options.Config, _ = m.File(folder + "/tokenizer_config.json")
	var about struct {
		Class string `json:"tokenizer_class"`
	}
	if json.Unmarshal(f.Options.Config, &about) != nil || !strings.HasPrefix(about.Class, "Gemma") && !strings.HasPrefix(about.Class, "Llama") {
		return nil, nil
	}
	if f.Model == nil && f.Tokenizer == nil {
		return nil, fmt.Errorf("the model has neither %s/tokenizer.model nor tokenizer.json", folder)
	}
	t, err := token.NewPieces(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	return t, nil
}

// newT5 reads the config of the text encoder with that suffix: "", "_2". It is
// nil where the model has none.
func newT5(m Configs, suffix string, tokens int, masked bool) (*t5Text, error) {
	t := &t5Text{component: "text_encoder" + suffix, folder: "tokenizer" + suffix, tokens: tokens, masked: masked}
	var ok bool
	if t.config, ok = m.Config(t.component); !ok {
		return nil, nil
	}
	var err error
	t.facts, err = model.ReadT5(t.config)
	return t, err
}

func (t *t5Text) open(m Model) (err error) {
	var f token.UnigramFiles
	f.Model, _ = m.File(t.folder + "/spiece.model")
	f.Tokenizer, _ = m.File(t.folder + "/tokenizer.json")
	f.Options.Config, _ = m.File(t.folder + "/tokenizer_config.json")
	pieces, err := openPieces(m, t.folder)
	switch {
	case err != nil:
		return err
	case pieces != nil:
		t.tokenizer = padded{pieces}
	case f.Model == nil && f.Tokenizer == nil:
		return fmt.Errorf("the model has neither %s/spiece.model nor tokenizer.json", t.folder)
	default:
		if t.tokenizer, err = token.NewUnigram(f); err != nil {
			return fmt.Errorf("%s: %w", t.folder, err)
		}
	}
	if n := t.tokenizer.VocabSize(); n > t.facts.Vocab {
		return fmt.Errorf("%s has %d tokens, %s knows %d", t.folder, n, t.component, t.facts.Vocab)
	}
	return nil
}

func (t *t5Text) net() Net {
	return Net{
		Component: t.component,
		Size:      func(Request) Size { return Size{Batch: 1, Tokens: t.tokens} },
		Graph:     func(s Size) (*engine.Graph, error) { return model.T5Encoder(t.config, s.Batch, s.Tokens) },
	}
}

// encode returns the encoder's states (1, tokens, d) for a text, and its mask
// (1, tokens), 0 for padding.
func (t *t5Text) encode(ctx context.Context, run Runner, text string) (hidden, mask engine.Tensor, truncated bool, err error) {
	ids, seen, truncated := t.tokenizer.Encode(text, t.tokens)
	mask = engine.FromFloat32s(seen, 1, t.tokens)
	in := Inputs{"ids": engine.FromInt32s(ids, 1, t.tokens), "mask": mask}
	if !t.masked {
		in["mask"] = ones(t.tokens)
	}
	out, err := run.Run(ctx, t.component, Size{Batch: 1, Tokens: t.tokens}, in)
	return out["hidden"], mask, truncated, err
}

// ones is a mask (1, n) that hides nothing.
func ones(n int) engine.Tensor {
	v := make([]float32, n)
	for i := range v {
		v[i] = 1
	}
	return engine.FromFloat32s(v, 1, n)
}
