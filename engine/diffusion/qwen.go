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

// qwenText is a Qwen3 language model as an encoder of text, with its tokenizer.
type qwenText struct {
	config    []byte
	facts     model.Qwen3Facts
	states    []int            // of transformers' hidden_states
	thought   bool             // the template ends with an empty thought, as without enable_thinking
	tokenizer *token.ByteLevel // nil before open
}

// qwenTokens is the max_sequence_length of diffusers' pipelines.
const qwenTokens = 512

func newQwen(m Configs, thought bool, states ...int) (*qwenText, error) {
	q := &qwenText{thought: thought, states: states}
	var ok bool
	if q.config, ok = m.Config("text_encoder"); !ok {
		return nil, errors.New("the model has no text_encoder")
	}
	var err error
	q.facts, err = model.ReadQwen3(q.config)
	return q, err
}

func (q *qwenText) open(m Model) (err error) {
	var opt token.Options
	vocab, _ := m.File("tokenizer/vocab.json")
	merges, _ := m.File("tokenizer/merges.txt")
	opt.Config, _ = m.File("tokenizer/tokenizer_config.json")
	opt.SpecialMap, _ = m.File("tokenizer/special_tokens_map.json")
	opt.Added, _ = m.File("tokenizer/added_tokens.json")
	opt.Tokenizer, _ = m.File("tokenizer/tokenizer.json")
	if opt.Tokenizer == nil && (vocab == nil || merges == nil) {
		return errors.New("the model has neither tokenizer/vocab.json with merges.txt nor tokenizer.json")
	}
	if q.tokenizer, err = token.NewByteLevel(vocab, merges, opt); err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	if n := q.tokenizer.VocabSize(); n > q.facts.Vocab {
		return fmt.Errorf("tokenizer has %d tokens, text_encoder knows %d", n, q.facts.Vocab)
	}
	return nil
}

// net leaves out the layers above those whose states are taken.
func (q *qwenText) net(tokens int) Net {
	n := Net{
		Component: "text_encoder",
		Size:      func(Request) Size { return Size{Batch: 1, Tokens: tokens} },
		Graph: func(s Size) (*engine.Graph, error) {
			return model.Qwen3(q.config, s.Batch, s.Tokens, model.HiddenStates(q.states...))
		},
	}
	last := slices.Max(q.states)
	if slices.Min(q.states) < 0 {
		last = q.facts.Layers
	}
	for _, root := range []string{"", "model."} { // of Qwen3Model and of Qwen3ForCausalLM
		n.Prefixes = append(n.Prefixes, root+"embed_tokens.", root+"norm.")
		for i := range min(last, q.facts.Layers) {
			n.Prefixes = append(n.Prefixes, root+"layers."+strconv.Itoa(i)+".")
		}
	}
	return n
}

// encode returns the states (1, t, d) of a text in Qwen3's chat template and
// its mask (1, t), 0 for padding; t is the least multiple of that number.
func (q *qwenText) encode(ctx context.Context, run Runner, text string, multiple int) (hidden, mask engine.Tensor, truncated bool, err error) {
	text = "<|im_start|>user\n" + text + "<|im_end|>\n<|im_start|>assistant\n"
	if q.thought {
		text += "<think>\n\n</think>\n\n"
	}
	ids, truncated := q.tokenizer.Encode(text, qwenTokens)
	seen := slices.Repeat([]float32{1}, len(ids))
	for len(ids) == 0 || len(ids)%multiple != 0 {
		ids, seen = append(ids, q.tokenizer.Pad()), append(seen, 0)
	}
	mask = engine.FromFloat32s(seen, 1, len(ids))
	in := Inputs{"ids": engine.FromInt32s(ids, 1, len(ids)), "mask": mask}
	out, err := run.Run(ctx, "text_encoder", Size{Batch: 1, Tokens: len(ids)}, in)
	return out["hidden"], mask, truncated, err
}
