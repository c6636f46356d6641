package diffusion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/engine/token"
)

// gemmaText is a Gemma language model as an encoder of text, with its tokenizer.
type gemmaText struct {
	config    []byte
	facts     model.GemmaFacts
	state     int           // of transformers' hidden_states, from the end
	tokenizer *token.Pieces // nil before open
}

func newGemma(m Configs, state int) (*gemmaText, error) {
	g := &gemmaText{state: state}
	var ok bool
	if g.config, ok = m.Config("text_encoder"); !ok {
		return nil, errors.New("the model has no text_encoder")
	}
	var err error
	g.facts, err = model.ReadGemma(g.config)
	return g, err
}

func (g *gemmaText) open(m Model) (err error) {
	if g.tokenizer, err = openPieces(m, "tokenizer"); err != nil {
		return err
	}
	if g.tokenizer == nil {
		return errors.New("tokenizer/tokenizer_config.json: tokenizer_class is not Gemma's")
	}
	if n := g.tokenizer.VocabSize(); n > g.facts.Vocab {
		return fmt.Errorf("tokenizer has %d tokens, text_encoder knows %d", n, g.facts.Vocab)
	}
	return nil
}

// net leaves out the layers above the one whose state is taken.
func (g *gemmaText) net(tokens int) Net {
	n := Net{
		Component: "text_encoder",
		Size:      func(Request) Size { return Size{Batch: 1, Tokens: tokens} },
		Graph:     func(s Size) (*engine.Graph, error) { return model.Gemma(g.config, s.Batch, s.Tokens, g.state) },
	}
	for _, root := range []string{"", "model."} {
		n.Prefixes = append(n.Prefixes, root+"embed_tokens.", root+"norm.")
		for i := range g.facts.Layers + 1 + g.state {
			n.Prefixes = append(n.Prefixes, root+"layers."+strconv.Itoa(i)+".")
		}
	}
	return n
}

// encode returns the states (1, t, d) of a text of at most limit tokens and its
// mask (1, t), 0 for padding; t is a multiple of that number.
func (g *gemmaText) encode(ctx context.Context, run Runner, text string, limit, multiple int) (hidden, mask engine.Tensor, truncated bool, err error) {
	ids, truncated := g.tokenizer.Encode(text, limit)
	seen := slices.Repeat([]float32{1}, len(ids))
	for len(ids) == 0 || len(ids)%multiple != 0 {
		ids, seen = append(ids, g.tokenizer.Pad()), append(seen, 0)
	}
	mask = engine.FromFloat32s(seen, 1, len(ids))
	in := Inputs{"ids": engine.FromInt32s(ids, 1, len(ids)), "mask": mask}
	out, err := run.Run(ctx, "text_encoder", Size{Batch: 1, Tokens: len(ids)}, in)
	return out["hidden"], mask, truncated, err
}
