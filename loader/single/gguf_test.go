package single

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wisp/engine"
	"wisp/loader"
	"wisp/loader/gguf"
	"wisp/loader/pack"
	"wisp/loader/safetensors"
)

// written is a GGUF file of tensors, given as type and shape, innermost last,
// of pseudorandom bytes whose scales are finite, and of metadata.
type written struct {
	bytes.Buffer
	data map[string][]byte
}

func (w *written) ints(width int, v ...int) {
	for _, x := range v {
		w.Write(binary.LittleEndian.AppendUint64(nil, uint64(x))[:width])
	}
}

func (w *written) text(s string) {
	w.ints(8, len(s))
	w.WriteString(s)
}

func (w *written) list(key string, values []string, kinds []int) {
	w.text(key)
	w.ints(4, 9)
	if values == nil {
		w.ints(4, 5)
		w.ints(8, len(kinds))
		w.ints(4, kinds...)
		return
	}
	w.ints(4, 8)
	w.ints(8, len(values))
	for _, v := range values {
		w.text(v)
	}
}

// numbers are ggml's of the types used here.
var numbersOf = map[string]int{"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 8, "Q4_K": 12, "Q6_K": 14}

func ggufFile(t *testing.T, name string, tensors map[string]string, keys int, metadata func(w *written)) (File, *written) {
	t.Helper()
	w := &written{data: map[string][]byte{}}
	w.WriteString(gguf.Magic)
	w.ints(4, 3)
	w.ints(8, len(tensors), keys)
	if metadata != nil {
		metadata(w)
	}
	var body []byte
	for _, tensor := range slices.Sorted(func(yield func(string) bool) {
		for n := range tensors {
			if !yield(n) {
				return
			}
		}
	}) {
		kind, size, _ := strings.Cut(tensors[tensor], " ")
		var shape []int
		elems := 1
		for d := range strings.SplitSeq(size, "x") {
			var n int
			if _, err := fmt.Sscan(d, &n); err != nil {
				t.Fatal(err)
			}
			shape, elems = append(shape, n), elems*n
		}
		block, bytes := gguf.Block(kind)
		data := make([]byte, elems/block*bytes)
		for i := 0; i < len(data); i += sha256.Size {
			sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", tensor, i))
			copy(data[i:], sum[:])
		}
		for i := 0; i < len(data); i += bytes { // no exponent of all ones, nor a large one
			for _, at := range map[string][]int{"F32": {3}, "F16": {1}, "Q4_0": {1}, "Q8_0": {1}, "Q4_K": {1, 3}, "Q6_K": {209}}[kind] {
				data[i+at] &= 0xaf
			}
		}
		w.data[tensor] = data
		w.text(tensor)
		w.ints(4, len(shape))
		slices.Reverse(shape)
		w.ints(8, shape...)
		w.ints(4, numbersOf[kind])
		w.ints(8, len(body))
		body = append(body, data...)
		body = append(body, make([]byte, (32-len(body)%32)%32)...)
	}
	w.Write(make([]byte, (32-w.Len()%32)%32))
	w.Write(body)
	return File{name, func() (safetensors.Blob, error) { return memory{bytes.NewReader(w.Bytes())}, nil }}, w
}

// values are the dequantised tensors of a packed model.
func values(t *testing.T, m *Model, quant string) (map[string][]float32, map[string]string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "model")
	if err := pack.Run(t.Context(), pack.Options{From: m, Out: out, Name: "x", Quant: quant}); err != nil {
		t.Fatal(err)
	}
	l, err := loader.Open(t.Context(), loader.Dir(out), nil, loader.Options{})
	if err != nil {
		t.Fatal(err)
	}
	all, types := map[string][]float32{}, map[string]string{}
	for c := range l.Manifest().Components {
		err := l.Load(t.Context(), c, func(x loader.Tensor) error {
			d, err := engine.ParseDType(x.DType)
			all[x.Name], types[x.Name] = engine.Tensor{DType: d, Shape: x.Shape, Data: x.Data}.Float32s(), x.DType
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all, types
}

// zImageGGUF is a Z-Image in three files, as they are published: the
// transformer, the text encoder with its vocabulary, the VAE.
func zImageGGUF(t *testing.T) (files []File, data map[string][]byte) {
	transformer, w := ggufFile(t, "z.gguf", map[string]string{
		"cap_pad_token": "F32 64", "x_embedder.weight": "F16 64x64", "cap_embedder.0.weight": "F32 64",
		"layers.0.attention.qkv.weight": "Q4_0 192x64", "layers.0.attention.out.weight": "Q8_0 64x64", "layers.0.attention.q_norm.weight": "F32 32",
		"layers.0.feed_forward.w1.weight": "Q4_K 4x256", "layers.0.feed_forward.w2.weight": "Q6_K 2x512",
	}, 0, nil)
	text, w2 := ggufFile(t, "qwen.gguf", map[string]string{
		"token_embd.weight": "Q8_0 6x64", "blk.0.attn_q.weight": "Q4_0 64x64", "blk.0.attn_k.weight": "Q4_0 32x64", "blk.0.attn_q_norm.weight": "F32 32",
		"blk.0.ffn_gate.weight": "Q8_0 96x64", "output_norm.weight": "F32 64", "output.weight": "Q8_0 6x64",
	}, 4, func(w *written) {
		w.text("tokenizer.ggml.model")
		w.ints(4, 8)
		w.text("gpt2")
		w.list("tokenizer.ggml.tokens", []string{"a", "b", "ab", "<|im_start|>", "<tool>", "[PAD5]"}, nil)
		w.list("tokenizer.ggml.token_type", nil, []int{1, 1, 1, 3, 4, 5})
		w.list("tokenizer.ggml.merges", []string{"a b"}, nil)
	})
	vae := filtered(t, "zimage.safetensors", "ae.safetensors", func(n string) string {
		rest, _ := strings.CutPrefix(n, "vae.")
		if rest == n {
			return ""
		}
		return rest
	})
	data = w.data
	for n, b := range w2.data {
		data[n] = b
	}
	return []File{transformer, text, vae}, data
}

// TestGGUF: a model in GGUF is a pipeline; Q8_0 and Q4_0 stay bit for bit, cut
// and renamed as they are, and other types become the values that they stand for.
func TestGGUF(t *testing.T) {
	files, data := zImageGGUF(t)
	m, err := Open(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	decoded := func(name, kind string) []float32 {
		block, bytes := gguf.Block(kind)
		v := make([]float32, len(data[name])/bytes*block)
		if err := gguf.Float32s(v, data[name], kind); err != nil {
			t.Fatal(err)
		}
		return v
	}
	qkv := decoded("layers.0.attention.qkv.weight", "Q4_0")
	for _, c := range []struct {
		quant, name, dtype string
		want               []float32
	}{
		{"f16", "layers.0.attention.to_q.weight", "q4", qkv[:64*64]},
		{"f16", "layers.0.attention.to_v.weight", "q4", qkv[2*64*64:]},
		{"q8", "layers.0.attention.to_k.weight", "q4", qkv[64*64 : 2*64*64]},
		{"q4", "layers.0.attention.to_q.weight", "q4", qkv[:64*64]},
		{"f16", "layers.0.attention.to_out.0.weight", "q8", decoded("layers.0.attention.out.weight", "Q8_0")},
		{"q4", "layers.0.attention.to_out.0.weight", "q4", nil},
		{"f32", "layers.0.feed_forward.w1.weight", "f32", decoded("layers.0.feed_forward.w1.weight", "Q4_K")},
		{"f32", "layers.0.feed_forward.w2.weight", "f32", decoded("layers.0.feed_forward.w2.weight", "Q6_K")},
		{"q8", "layers.0.feed_forward.w2.weight", "q8", nil},
		{"f16", "model.layers.0.mlp.gate_proj.weight", "q8", decoded("blk.0.ffn_gate.weight", "Q8_0")},
		{"f16", "model.embed_tokens.weight", "q8", decoded("token_embd.weight", "Q8_0")},
		{"f32", "cap_pad_token", "f32", decoded("cap_pad_token", "F32")},
	} {
		got, types := values(t, m, c.quant)
		if types[c.name] != c.dtype {
			t.Errorf("-quant %s: %s is %q, want %q", c.quant, c.name, types[c.name], c.dtype)
		}
		if c.want != nil && !slices.Equal(got[c.name], c.want) {
			t.Errorf("-quant %s: the values of %s are not those of the file", c.quant, c.name)
		}
	}
}

// TestVocabularies: what GGUF has of a vocabulary becomes a tokenizer's files.
func TestVocabularies(t *testing.T) {
	files, _ := zImageGGUF(t)
	m, err := Open(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var vocab map[string]int
	if err := json.Unmarshal(m.made["tokenizer/vocab.json"], &vocab); err != nil || len(vocab) != 3 || vocab["ab"] != 2 {
		t.Errorf("vocab.json: %v %v", vocab, err)
	}
	if got := string(m.made["tokenizer/merges.txt"]); got != "#version: 0.2\na b\n" {
		t.Errorf("merges.txt: %q", got)
	}
	if config := string(m.made["tokenizer/tokenizer_config.json"]); !strings.Contains(config, `"3":{"content":"\u003c|im_start|\u003e"`) || strings.Contains(config, "PAD5") {
		t.Errorf("tokenizer_config.json: %s", config)
	}
	t5, _ := ggufFile(t, "t5.gguf", map[string]string{"enc.blk.0.attn_q.weight": "F32 4x4"}, 4, func(w *written) {
		w.text("tokenizer.ggml.model")
		w.ints(4, 8)
		w.text("t5")
		w.list("tokenizer.ggml.tokens", []string{"<pad>", "</s>", "<unk>", "▁a", "[PAD4]"}, nil)
		w.list("tokenizer.ggml.token_type", nil, []int{3, 3, 2, 1, 5})
		w.text("tokenizer.ggml.scores")
		w.ints(4, 9, 6)
		w.ints(8, 5)
		w.ints(4, 0, 0, 0, 0x3f800000, 0)
	})
	set, err := safetensors.OpenSet("t5.gguf", func(string) (safetensors.Blob, error) { return t5.Open() })
	if err != nil {
		t.Fatal(err)
	}
	made := map[string][]byte{}
	if err := vocabulary(made, "tokenizer_2", set); err != nil {
		t.Fatal(err)
	}
	scores := set.GGUF[0].Metadata["tokenizer.ggml.scores"].([]float64)
	for _, bad := range []float64{math.NaN(), math.Inf(-1)} {
		scores[1] = bad
		if err := vocabulary(map[string][]byte{}, "tokenizer_2", set); !errors.Is(err, gguf.ErrFormat) || !strings.Contains(err.Error(), "token 1") {
			t.Errorf("a score of %v: %v", bad, err)
		}
	}
	if got := string(made["tokenizer_2/tokenizer.json"]); !strings.Contains(got, `["▁a",1]]`) || !strings.Contains(got, `"unk_id":2`) {
		t.Errorf("tokenizer.json: %s", got)
	}
}

// TestGGUFRefusals: a type that is not read, and blocks that a cut would split,
// are named.
func TestGGUFRefusals(t *testing.T) {
	files, _ := zImageGGUF(t)
	numbersOf["IQ2_XS"] = 17
	for want, tensor := range map[string]string{
		"IQ2_XS is not read":             "IQ2_XS 192x256",
		"where blocks of Q8_0 are whole": "Q8_0 192",
	} {
		bad, _ := ggufFile(t, "z.gguf", map[string]string{"cap_pad_token": "F32 64", "layers.0.attention.qkv.weight": tensor}, 0, nil)
		m, err := Open(append([]File{bad}, files[1:]...), nil)
		if err == nil {
			err = pack.Run(t.Context(), pack.Options{From: m, Out: filepath.Join(t.TempDir(), "model"), Name: "x"})
			m.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "attention.to_") {
			t.Errorf("%v, want %q and the tensor's name", err, want)
		}
	}
	cut := File{"cut.gguf", func() (safetensors.Blob, error) { return memory{bytes.NewReader([]byte("GGUF\x03\x00"))}, nil }}
	if _, err := Open([]File{cut}, nil); !errors.Is(err, gguf.ErrFormat) || !strings.Contains(err.Error(), "cut.gguf") {
		t.Errorf("a cut file: %v", err)
	}
}
