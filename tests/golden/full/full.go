// Package full makes models of published sizes with weights from seeds, packed
// as a visitor gets them. draw.py draws with the same packed weights in torch;
// what it drew is kept here. Start at [Models] and [Pack].
package full

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"wisp/engine"
	"wisp/engine/model"
	"wisp/loader/pack"
	"wisp/loader/safetensors"
	"wisp/tests/golden/seeded"
)

// Every is which pixels of which rows of a picture are kept.
const Every = 4

// Model is a pipeline of published configurations.
type Model struct {
	Name  string // of its folder here, too
	Quant string
	small string // the golden pipeline whose tokenizers, scheduler and index it has
	parts map[string]part

	Memory int64 // that the page may take for weights; 0 for what there is
	Larger int   // the side of a second picture, of which only the cost counts; 0 for none
}

// part is a network: where its configuration stands in ../model/sizes.json,
// and what its weights are like.
type part struct {
	config  string
	fields  string // of the configuration, beside the published ones
	graph   func(config []byte) (*engine.Graph, error)
	seed    int
	gain    float64
	special map[string]special
	host    map[string]seeded.Tensor // weights that the graph does not ask for, their keys apart
}

// special is how a weight differs: a factor of its deviation, and its mean.
type special struct{ factor, mean float64 }

func unet(config []byte) (*engine.Graph, error) { return model.UNet2DCondition(config, 1, 8, 8, 77) }

func clip(config []byte) (*engine.Graph, error) { return model.CLIPText(config, 1, 77) }

// bigG has a projection of the text.
func bigG(config []byte) (*engine.Graph, error) {
	return model.CLIPText(config, 1, 77, model.TextPrefix("text_model"), model.Penultimate(), model.WithProjection())
}

// qwen has the states that FLUX.2-klein takes.
func qwen(config []byte) (*engine.Graph, error) {
	return model.Qwen3(config, 1, 32, model.HiddenStates(9, 18, 27))
}

func flux2(config []byte) (*engine.Graph, error) { return model.Flux2(config, 1, 8, 8, 32) }

func decoder(config []byte) (*engine.Graph, error) { return model.Decoder(config, 1, 8, 8) }

// words makes states of texts differ.
var words = map[string]special{"embeddings.token_embedding.weight": {4, 0}, "text_model.embeddings.token_embedding.weight": {4, 0}}

// colours keeps the tiny decoder's within their bounds.
var colours = map[string]special{"decoder.layers.18.weight": {0.4, 0}, "decoder.layers.18.bias": {1, 0.5}}

// moments are the batch norm's of FLUX.2's autoencoder.
var moments = map[string]seeded.Tensor{
	"bn.running_mean": {DType: "F16", Shape: []int{128}, Deviation: 0.1},
	"bn.running_var":  {DType: "F16", Shape: []int{128}, Deviation: 0.1, Mean: 1},
}

const (
	clipL = `{"architectures": ["CLIPTextModel"], "bos_token_id": 523, "eos_token_id": 524, "vocab_size": 49408, "max_position_embeddings": 77}`
	clipG = `{"architectures": ["CLIPTextModelWithProjection"], "bos_token_id": 523, "eos_token_id": 524, "vocab_size": 49408, "max_position_embeddings": 77}`
)

// Models are Stable Diffusion 1.5 as a latent consistency model with the tiny
// decoder, Stable Diffusion XL Turbo, and FLUX.2-klein-4B in two bits a weight.
var Models = []Model{
	{"lcm", "q8", "lcm", map[string]part{
		"text_encoder": {"clip_l", clipL, clip, 1, 1, words, nil},
		"unet":         {"lcm_unet", `{"_class_name": "UNet2DConditionModel"}`, unet, 2, 1, nil, nil},
		"vae":          {"taesd", `{"_class_name": "AutoencoderTiny"}`, decoder, 3, 1, colours, nil},
	}, 0, 0},
	{"sdxl_turbo", "q4", "sdxl_turbo", map[string]part{
		"text_encoder":   {"clip_l", clipL, clip, 11, 1, words, nil},
		"text_encoder_2": {"open_clip_bigg", clipG, bigG, 12, 1, words, nil},
		"unet":           {"sdxl_unet", `{"_class_name": "UNet2DConditionModel"}`, unet, 13, 1, nil, nil},
		"vae":            {"sd_vae", `{"_class_name": "AutoencoderKL", "scaling_factor": 0.13025, "force_upcast": true}`, decoder, 14, 0.7, nil, nil},
	}, 0, 0},
	{"klein", "ternary", "flux2_klein", map[string]part{
		"text_encoder": {"qwen3_4b", `{"architectures": ["Qwen3Model"], "model_type": "qwen3", "vocab_size": 151936, "rms_norm_eps": 1e-6, "hidden_act": "silu"}`,
			qwen, 21, 1, map[string]special{"embed_tokens.weight": {50, 0}}, nil},
		"transformer": {"flux2_klein_4b", `{"_class_name": "Flux2Transformer2DModel"}`, flux2, 22, 1, nil, nil},
		"vae":         {"flux2_vae", `{"_class_name": "AutoencoderKLFlux2"}`, decoder, 23, 0.7, nil, moments},
	}, 2 << 30, 512},
}

// input is a [Model] as a diffusers directory whose weights are made when they
// are read.
type input struct {
	pack.Dir // of the small pipeline
	configs  map[string][]byte
	weights  map[string]*seeded.Checkpoint
}

// newInput reads the goldens under a directory, this one's parent.
func newInput(m Model, goldens string) (*input, error) {
	dir, err := pack.OpenDir(filepath.Join(goldens, "pipeline", m.small, "model"))
	if err != nil {
		return nil, err
	}
	in := &input{dir, map[string][]byte{}, map[string]*seeded.Checkpoint{}}
	for component, p := range m.parts {
		config, err := p.read(goldens)
		if err != nil {
			return nil, err
		}
		tensors, err := p.tensors(config)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", component, err)
		}
		in.configs[component+"/config.json"] = config
		in.weights[component+"/"+weightsFile(component)] = seeded.NewCheckpoint(tensors)
	}
	return in, nil
}

func weightsFile(component string) string {
	if strings.HasPrefix(component, "text_encoder") {
		return "model.safetensors"
	}
	return "diffusion_pytorch_model.safetensors"
}

// read is the published configuration with the part's own fields.
func (p part) read(goldens string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(goldens, "model", "sizes.json"))
	if err != nil {
		return nil, err
	}
	var sizes struct {
		Models map[string]struct{ Config map[string]any }
	}
	if err := json.Unmarshal(b, &sizes); err != nil {
		return nil, err
	}
	config := sizes.Models[p.config].Config
	if err := json.Unmarshal([]byte(p.fields), &config); err != nil {
		return nil, err
	}
	return json.Marshal(config)
}

// tensors are those that the network asks for, filled as seeded.py fills.
func (p part) tensors(config []byte) (map[string]seeded.Tensor, error) {
	g, err := p.graph(config)
	if err != nil {
		return nil, err
	}
	tensors := map[string]seeded.Tensor{}
	for i, w := range g.Weights() {
		t := seeded.Tensor{DType: "F16", Shape: w.Shape, Key: uint64(10000*p.seed + i), Deviation: 0.1}
		if len(w.Shape) > 1 {
			t.Deviation = p.gain / math.Sqrt(float64(w.Shape.Elems()/w.Shape[0]))
		} else if strings.Contains(w.Name, "norm") && strings.HasSuffix(w.Name, "weight") {
			t.Mean = 1
		}
		if s, ok := p.special[w.Name]; ok {
			t.Deviation, t.Mean = t.Deviation*s.factor, s.mean
		}
		tensors[w.Name] = t
	}
	for i, name := range slices.Sorted(maps.Keys(p.host)) {
		t := p.host[name]
		t.Key = uint64(10000*p.seed + len(tensors) + i)
		tensors[name] = t
	}
	return tensors, nil
}

// Open opens a file, made or of the small pipeline.
func (in *input) Open(name string) (safetensors.Blob, error) {
	if c, ok := in.weights[name]; ok {
		return c, nil
	}
	if b, ok := in.configs[name]; ok {
		return text{strings.NewReader(string(b))}, nil
	}
	if component, _, _ := strings.Cut(name, "/"); in.configs[component+"/config.json"] != nil {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return in.Dir.Open(name)
}

type text struct{ *strings.Reader }

func (text) Close() error { return nil }

// List names the files of a folder.
func (in *input) List(folder string) (names []string, err error) {
	for name := range in.weights {
		if path.Dir(name) == folder {
			return []string{"config.json", path.Base(name)}, nil
		}
	}
	return in.Dir.List(folder)
}

// Pack packs a model into a directory; goldens is the parent of this package's.
func Pack(ctx context.Context, m Model, goldens, out string) error {
	in, err := newInput(m, goldens)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(out, 0o777); err != nil {
		return err
	}
	_, err = pack.Pack(ctx, in, directory(out), pack.Options{Quant: m.Quant, Name: m.Name, Licence: "none: weights from seeds"})
	return err
}

// directory is a [pack.Output].
type directory string

func (d directory) Write(_ context.Context, name string, b []byte) error {
	return os.WriteFile(filepath.Join(string(d), name), b, 0o666)
}
