package single

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"wisp/loader/gguf"
	"wisp/loader/names"
	"wisp/loader/safetensors"
)

// The names that llama.cpp gives to text encoders, against transformers', and
// the vocabularies that its files carry.

// convertQwen names the tensors of Qwen3 as Qwen3ForCausalLM has them.
func convertQwen(set *safetensors.Set) (*safetensors.Set, error) {
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor {
		head, rest := names.Split(t.Name, 2)
		switch {
		case head[0] == "blk":
			return names.As(t, "model.layers."+head[1]+"."+names.Replaced(rest, "attn_q.", "self_attn.q_proj.", "attn_k.", "self_attn.k_proj.", "attn_v.", "self_attn.v_proj.",
				"attn_output.", "self_attn.o_proj.", "attn_q_norm.", "self_attn.q_norm.", "attn_k_norm.", "self_attn.k_norm.", "attn_norm.", "input_layernorm.",
				"ffn_norm.", "post_attention_layernorm.", "ffn_gate.", "mlp.gate_proj.", "ffn_up.", "mlp.up_proj.", "ffn_down.", "mlp.down_proj."))
		case head[0] == "layers" || head[0] == "embed_tokens" || head[0] == "norm": // Qwen3Model alone
			return names.As(t, "model."+t.Name)
		case strings.HasPrefix(t.Name, "lm_head.") || t.Name == "output.weight":
			return nil
		}
		return names.As(t, names.Replaced(t.Name, "token_embd.", "model.embed_tokens.", "output_norm.", "model.norm."))
	})
}

func qwenConfig(set *safetensors.Set) map[string]any {
	const layer = "model.layers.0."
	head := first(dim(set, layer+"self_attn.q_norm.weight", 0), 128)
	return map[string]any{"model_type": "qwen3", "architectures": []string{"Qwen3ForCausalLM"}, "vocab_size": dim(set, "model.embed_tokens.weight", 0),
		"hidden_size": dim(set, "model.embed_tokens.weight", 1), "intermediate_size": dim(set, layer+"mlp.gate_proj.weight", 0),
		"num_hidden_layers": numbered(set, "model.layers."), "head_dim": head, "num_attention_heads": dim(set, layer+"self_attn.q_proj.weight", 0) / head,
		"num_key_value_heads": dim(set, layer+"self_attn.k_proj.weight", 0) / head, "hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 1000000.0,
		"attention_bias": false, "tie_word_embeddings": true, "max_position_embeddings": 40960}
}

// llamaT5 is transformers' name of a tensor of T5's encoder.
func llamaT5(name string) string {
	rest, ok := strings.CutPrefix(name, "enc.blk.")
	if !ok {
		return names.Replaced(name, "token_embd.", "shared.", "enc.output_norm.", "encoder.final_layer_norm.")
	}
	n, rest, _ := strings.Cut(rest, ".")
	return "encoder.block." + n + ".layer." + names.Replaced(rest, "attn_q.", "0.SelfAttention.q.", "attn_k.", "0.SelfAttention.k.", "attn_v.", "0.SelfAttention.v.",
		"attn_o.", "0.SelfAttention.o.", "attn_rel_b.", "0.SelfAttention.relative_attention_bias.", "attn_norm.", "0.layer_norm.", "ffn_norm.", "1.layer_norm.",
		"ffn_gate.", "1.DenseReluDense.wi_0.", "ffn_up.", "1.DenseReluDense.wi_1.", "ffn_down.", "1.DenseReluDense.wo.")
}

// The kinds of a token in llama.cpp's lists.
const (
	tokenControl = 3
	tokenGiven   = 4 // by the user
	tokenUnused  = 5
)

// vocabulary makes a tokenizer's files of what a GGUF file carries; none where
// it carries none.
func vocabulary(files map[string][]byte, folder string, set *safetensors.Set) error {
	for _, g := range set.GGUF {
		tokens, _ := g.Metadata["tokenizer.ggml.tokens"].([]string)
		kinds, _ := g.Metadata["tokenizer.ggml.token_type"].([]int64)
		if len(tokens) == 0 {
			continue
		}
		if len(kinds) != len(tokens) {
			return fmt.Errorf("%w: %d tokens of %d kinds", gguf.ErrFormat, len(tokens), len(kinds))
		}
		switch model := g.Text("tokenizer.ggml.model"); model {
		case "gpt2":
			return byteLevel(files, folder, g, tokens, kinds)
		case "t5":
			return unigram(files, folder, g, tokens, kinds)
		default:
			return fmt.Errorf("%w: a tokenizer of the kind %q", ErrUnknown, model)
		}
	}
	return nil
}

// byteLevel makes vocab.json, merges.txt and the list of special tokens.
func byteLevel(files map[string][]byte, folder string, g *gguf.File, tokens []string, kinds []int64) error {
	merges, _ := g.Metadata["tokenizer.ggml.merges"].([]string)
	vocab := make(map[string]int, len(tokens))
	added := map[string]any{}
	for id, text := range tokens {
		switch kinds[id] {
		case tokenControl, tokenGiven:
			added[fmt.Sprint(id)] = map[string]any{"content": text, "special": kinds[id] == tokenControl, "lstrip": false, "rstrip": false, "normalized": false, "single_word": false}
		case tokenUnused:
		default:
			vocab[text] = id
		}
	}
	config := map[string]any{"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added}
	if id, ok := g.Metadata["tokenizer.ggml.padding_token_id"].(int64); ok && id >= 0 && id < int64(len(tokens)) {
		config["pad_token"] = tokens[id]
	}
	files[folder+"/vocab.json"], files[folder+"/tokenizer_config.json"] = encode(vocab), encode(config)
	files[folder+"/merges.txt"] = []byte("#version: 0.2\n" + strings.Join(merges, "\n") + "\n")
	return nil
}

// unigram makes tokenizer.json.
func unigram(files map[string][]byte, folder string, g *gguf.File, tokens []string, kinds []int64) error {
	scores, _ := g.Metadata["tokenizer.ggml.scores"].([]float64)
	if len(scores) != len(tokens) {
		return fmt.Errorf("%w: %d tokens of %d scores", gguf.ErrFormat, len(tokens), len(scores))
	}
	for len(tokens) > 0 && kinds[len(tokens)-1] == tokenUnused { // they fill the table of embeddings
		tokens = tokens[:len(tokens)-1]
	}
	if i := slices.IndexFunc(scores, func(s float64) bool { return math.IsNaN(s) || math.IsInf(s, 0) }); i >= 0 {
		return fmt.Errorf("%w: the score of token %d is %v", gguf.ErrFormat, i, scores[i])
	}
	vocab := make([][2]any, len(tokens))
	added := []map[string]any{}
	for id, text := range tokens {
		vocab[id] = [2]any{text, json.Number(fmt.Sprintf("%.17g", scores[id]))}
		if kinds[id] == tokenControl || kinds[id] == tokenGiven {
			added = append(added, map[string]any{"id": id, "content": text, "special": true})
		}
	}
	raw, _ := g.Metadata["tokenizer.ggml.precompiled_charsmap"].([]byte)
	unknown := max(0, slices.Index(kinds, 2))
	files[folder+"/tokenizer.json"] = encode(map[string]any{"added_tokens": added,
		"normalizer": map[string]any{"type": "Precompiled", "precompiled_charsmap": base64.StdEncoding.EncodeToString(raw)},
		"model":      map[string]any{"type": "Unigram", "unk_id": unknown, "vocab": vocab}})
	return nil
}
