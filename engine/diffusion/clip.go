package diffusion

import (
	"context"
	"fmt"
	"slices"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/engine/token"
)

// clipText is a CLIP text encoder with its tokenizer.
type clipText struct {
	component, folder string // of the weights, of the tokenizer
	config            []byte
	facts             model.TextFacts
	options           []model.TextOption
	own               int         // last layers that the pipeline leaves out by itself
	bare              bool        // it reads brackets as they stand in every syntax
	pooled            bool        // with the output "pooled"
	tokenizer         *token.CLIP // nil before open
	words             []word      // of textual inversion, the last first
	learned           [][]float32 // their vectors
}

// newCLIP reads the config of the text encoder with that suffix: "", "_2".
func newCLIP(m Configs, suffix string, options ...model.TextOption) (*clipText, error) {
	c := &clipText{component: "text_encoder" + suffix, folder: "tokenizer" + suffix, options: options}
	var ok bool
	if c.config, ok = m.Config(c.component); !ok {
		return nil, fmt.Errorf("the model has no %s", c.component)
	}
	var err error
	c.facts, err = model.ReadText(c.config)
	return c, err
}

// newPenultimate is newCLIP for pipelines that read the last layer but one,
// without the final norm.
func newPenultimate(m Configs, suffix string) (*clipText, error) {
	c, err := newCLIP(m, suffix, model.Penultimate())
	if err == nil {
		c.own = 1
	}
	return c, err
}

// shorn tells that the encoder's last layer was never saved: that of Stable
// Diffusion 2, which is conditioned on the last but one.
func (c *clipText) shorn() bool { return c.facts.Width == 1024 && c.facts.Layers == 23 }

// skip is [Size]'s Skip for a prompt. A1111 skips layers only where the last is
// read by default; ComfyUI counts from the last that there ever was. Without
// their syntax it is as in diffusers, which skips none in negative prompts.
func (c *clipText) skip(p Prompt) (int, error) {
	n := p.ClipSkip - 1
	switch p.Syntax {
	case syntaxA1111:
		if c.own > 0 || c.shorn() {
			n = c.own
		}
	case syntaxComfyUI:
		if c.shorn() && p.ClipSkip == 1 {
			return 0, badRequest(fmt.Errorf("clip skip is 1: %s came without its last layer; choose 2, which is what this model reads by itself", c.component))
		}
		if c.shorn() {
			n--
		}
	default:
		if p.Negative {
			n = c.own
		}
	}
	if p.ClipSkip == 0 {
		n = c.own
	}
	if n == 0 && c.own > 0 {
		return -1, nil
	}
	return n, nil
}

// withPooled adds the pooled output, by one of model's options.
func (c *clipText) withPooled(option model.TextOption) {
	c.pooled, c.options = true, append(c.options, option)
}

// open reads the tokenizer, from vocab.json and merges.txt or from
// tokenizer.json, which is all that newer libraries write.
func (c *clipText) open(m Model) (err error) {
	vocab, _ := m.File(c.folder + "/vocab.json")
	merges, _ := m.File(c.folder + "/merges.txt")
	var opt token.Options
	opt.Config, _ = m.File(c.folder + "/tokenizer_config.json")
	opt.SpecialMap, _ = m.File(c.folder + "/special_tokens_map.json")
	opt.Added, _ = m.File(c.folder + "/added_tokens.json")
	opt.Tokenizer, _ = m.File(c.folder + "/tokenizer.json")
	if opt.Tokenizer == nil && (vocab == nil || merges == nil) {
		return fmt.Errorf("the model has neither %s/vocab.json with merges.txt nor tokenizer.json", c.folder)
	}
	if c.tokenizer, err = token.NewCLIP(vocab, merges, opt); err != nil {
		return fmt.Errorf("%s: %w", c.folder, err)
	}
	switch {
	case c.tokenizer.MaxLength() > c.facts.Tokens:
		return fmt.Errorf("%s makes %d tokens, %s takes %d", c.folder, c.tokenizer.MaxLength(), c.component, c.facts.Tokens)
	case c.tokenizer.VocabSize() > c.facts.Vocab:
		return fmt.Errorf("%s has %d tokens, %s knows %d", c.folder, c.tokenizer.VocabSize(), c.component, c.facts.Vocab)
	}
	return nil
}

// tokens is the length of every prompt.
func (c *clipText) tokens() int {
	if c.tokenizer == nil {
		return c.facts.Tokens
	}
	return c.tokenizer.MaxLength()
}

func (c *clipText) net() Net {
	return Net{
		Component: c.component,
		Size:      func(Request) Size { return Size{Batch: 1, Tokens: c.tokens()} },
		Graph: func(s Size) (*engine.Graph, error) {
			options := c.options
			if len(c.words) > 0 {
				options = append(options[:len(options):len(options)], model.Injected())
			}
			if s.Skip != 0 {
				options = append(options[:len(options):len(options)], model.ClipSkip(max(0, s.Skip)))
			}
			return model.CLIPText(c.config, s.Batch, s.Tokens, options...)
		},
	}
}

// encode returns the encoder's outputs for a text, in the syntax and without the
// layers that a prompt asks for. Without a syntax that is one chunk, cut where
// the text is longer; else as many as it takes, one after the other, weighted.
func (c *clipText) encode(ctx context.Context, run Runner, text string, p Prompt) (out Inputs, truncated bool, err error) {
	skip, err := c.skip(p)
	if err != nil {
		return nil, false, err
	}
	if c.bare || p.plain() {
		ids, truncated := c.chunk(text)
		out, err := c.run(ctx, run, ids, skip)
		return out, truncated, err
	}
	chunks, truncated := c.chunks(text, p.Syntax)
	out, err = c.weigh(ctx, run, chunks, p.Syntax, skip)
	return out, truncated, err
}

// chunks are the ids of a text in a syntax.
func (c *clipText) chunks(text, syntax string) (chunks []section, truncated bool) {
	t := c.tokenizer
	chunker := chunker{begin: t.BOS(), end: t.EOS(), pad: t.Pad(), length: t.MaxLength()}
	switch syntax {
	case syntaxA1111:
		comma := int32(-1)
		if ids := t.IDs(","); len(ids) == 1 {
			comma = ids[0]
		}
		chunks = chunker.chunksA1111(readA1111(text), c.ids, comma)
	case syntaxComfyUI:
		chunks = chunker.chunksComfyUI(readComfyUI(text), c.ids)
	default:
		ids, truncated := c.chunk(text)
		return []section{{ids: ids}}, truncated
	}
	if len(chunks) > maxChunks {
		return chunks[:maxChunks], true
	}
	return chunks, false
}

// maxChunks bounds the text that a denoiser attends to.
const maxChunks = 16

// weigh runs chunks and lays their weighted states after one another; a pooled
// state is the first's.
func (c *clipText) weigh(ctx context.Context, run Runner, chunks []section, syntax string, skip int) (out Inputs, err error) {
	var empty []float32
	var hidden engine.Tensor
	for i, part := range chunks {
		one, err := c.run(ctx, run, part.ids, skip)
		if err != nil {
			return nil, err
		}
		states := one["hidden"].Float32s()
		plain := !slices.ContainsFunc(part.weights, func(w float32) bool { return w != 1 })
		switch {
		case plain:
		case syntax == syntaxA1111:
			weighA1111(states, part.weights)
		default:
			if empty == nil {
				blank := chunker{begin: c.tokenizer.BOS(), end: c.tokenizer.EOS(), pad: c.tokenizer.Pad(), length: len(part.ids)}
				blank.close()
				none, err := c.run(ctx, run, blank.chunks[0].ids, skip)
				if err != nil {
					return nil, err
				}
				empty = none["hidden"].Float32s()
			}
			weighComfyUI(states, part.weights, empty)
		}
		weighted := engine.FromFloat32s(states, one["hidden"].Shape...)
		if i == 0 {
			out, hidden = one, weighted
		} else {
			hidden = below(hidden, weighted)
		}
	}
	out["hidden"] = hidden
	return out, nil
}

// run evaluates the encoder on one chunk of ids.
func (c *clipText) run(ctx context.Context, run Runner, ids []int32, skip int) (Inputs, error) {
	in := Inputs{}
	if len(c.words) > 0 {
		ids, in["injected"], in["kept"] = c.inject(ids)
	}
	in["ids"] = engine.FromInt32s(ids, 1, len(ids))
	if c.pooled {
		in["end"] = engine.FromFloat32s(c.facts.End(ids), 1, len(ids))
	}
	return run.Run(ctx, c.component, Size{Batch: 1, Tokens: len(ids), Skip: skip}, in)
}
