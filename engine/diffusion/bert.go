package diffusion

import (
	"context"
	"errors"
	"fmt"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/engine/token"
)

// bertText is a BERT text encoder with its tokenizer.
type bertText struct {
	config    []byte
	facts     model.TextFacts
	tokens    int              // the length of every prompt
	tokenizer *token.WordPiece // nil before open
}

func newBERT(m Configs, tokens int) (b bertText, err error) {
	var ok bool
	if b.config, ok = m.Config("text_encoder"); !ok {
		return b, errors.New("the model has no text_encoder")
	}
	b.tokens = tokens
	b.facts, err = model.ReadBERT(b.config)
	return b, err
}

func (b *bertText) open(m Model) (err error) {
	var opt token.Options
	vocab, _ := m.File("tokenizer/vocab.txt")
	opt.Config, _ = m.File("tokenizer/tokenizer_config.json")
	opt.Tokenizer, _ = m.File("tokenizer/tokenizer.json")
	if opt.Tokenizer == nil && vocab == nil {
		return errors.New("the model has neither tokenizer/vocab.txt nor tokenizer.json")
	}
	if b.tokenizer, err = token.NewWordPiece(vocab, opt); err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	if n := b.tokenizer.VocabSize(); n > b.facts.Vocab {
		return fmt.Errorf("tokenizer has %d tokens, text_encoder knows %d", n, b.facts.Vocab)
	}
	return nil
}

func (b *bertText) net() Net {
	return Net{
		Component: "text_encoder",
		Size:      func(Request) Size { return Size{Batch: 1, Tokens: b.tokens} },
		Graph:     func(s Size) (*engine.Graph, error) { return model.BERT(b.config, s.Batch, s.Tokens) },
	}
}

// encode returns the encoder's states (1, tokens, d) for a text and its mask
// (1, tokens), 0 for padding.
func (b *bertText) encode(ctx context.Context, run Runner, text string) (hidden, mask engine.Tensor, truncated bool, err error) {
	ids, seen, truncated := b.tokenizer.Encode(text, b.tokens)
	mask = engine.FromFloat32s(seen, 1, b.tokens)
	in := Inputs{"ids": engine.FromInt32s(ids, 1, b.tokens), "mask": mask}
	out, err := run.Run(ctx, "text_encoder", Size{Batch: 1, Tokens: b.tokens}, in)
	return out["hidden"], mask, truncated, err
}
