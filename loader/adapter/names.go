package adapter

import (
	"strconv"
	"strings"

	"wisp/loader/names"
)

type rows = names.Rows

// parts are the ends of keys, and what the tensor is of its change. The first
// that fits counts.
var parts = []struct{ end, part string }{
	{".lora_down.weight", "down"}, {".lora_up.weight", "up"}, {".lora_mid.weight", "mid"}, {".lora_up.bias", "up_bias"}, // kohya
	{".lora_A.weight", "down"}, {".lora_B.weight", "up"}, {".lora_B.bias", "up_bias"}, // PEFT
	{".lora_A.default.weight", "down"}, {".lora_B.default.weight", "up"}, {".lora_B.default.bias", "up_bias"},
	{".lora.down.weight", "down"}, {".lora.up.weight", "up"}, {".lora.alpha", "alpha"}, // diffusers, of several years
	{".lora_linear_layer.down.weight", "down"}, {".lora_linear_layer.up.weight", "up"},
	{"_lora.down.weight", "down"}, {"_lora.up.weight", "up"},
	{".alpha", "alpha"}, {".dora_scale", "dora_scale"},
	{".lora_magnitude_vector.default.weight", "dora_scale"}, {".lora_magnitude_vector.weight", "dora_scale"}, {".lora_magnitude_vector", "dora_scale"},
	{".hada_w1_a", "hada_w1_a"}, {".hada_w1_b", "hada_w1_b"}, {".hada_w2_a", "hada_w2_a"}, {".hada_w2_b", "hada_w2_b"},
	{".hada_t1", "hada_t1"}, {".hada_t2", "hada_t2"},
	{".lokr_w1", "lokr_w1"}, {".lokr_w1_a", "lokr_w1_a"}, {".lokr_w1_b", "lokr_w1_b"},
	{".lokr_w2", "lokr_w2"}, {".lokr_w2_a", "lokr_w2_a"}, {".lokr_w2_b", "lokr_w2_b"}, {".lokr_t2", "lokr_t2"},
	{".diff", "diff"}, {".diff_b", "diff_b"}, {".w_norm", "w_norm"}, {".b_norm", "b_norm"},
	{".ia3_l", "ia3_l"}, {".on_input", "on_input"},
	{"_custom_diffusion.weight", "replace"}, {"_custom_diffusion.0.weight", "replace"}, {"_custom_diffusion.0.bias", "replace_b"},
	{".weight", "weight"},
}

// split cuts a key into the layer that it names and what the tensor is of the
// layer's change, "" for nothing known.
func split(key string) (stem, part string) {
	for _, p := range parts {
		if stem, ok := strings.CutSuffix(key, p.end); ok {
			return stem, p.part
		}
	}
	return key, ""
}

// prefixes are what programs put before the names of each network's layers.
// An empty component is the denoiser's; "?" is for the names to tell.
var prefixes = []struct {
	prefix, component string
	flat              bool // underscores stand for dots, too
}{
	{"lora_unet_", "", true}, {"lora_transformer_", "", true}, {"lycoris_", "?", true},
	{"lora_te1_", "text_encoder", true}, {"lora_te2_", "text_encoder_2", true}, {"lora_te3_", "text_encoder_3", true}, {"lora_te_", "text_encoder", true},
	{"base_model.model.", "?", false},
	{"unet.", "", false}, {"transformer.", "", false}, {"model.diffusion_model.", "", false}, {"diffusion_model.", "", false},
	{"text_encoder.", "text_encoder", false}, {"text_encoder_2.", "text_encoder_2", false}, {"text_encoder_3.", "text_encoder_3", false},
	{"text_encoders.clip_l.transformer.", "text_encoder", false}, {"text_encoders.clip_g.transformer.", "text_encoder_2", false},
	{"text_encoders.t5xxl.transformer.", "t5", false},
	{"", "?", false},
}

// layer is a layer of the model that a key means.
type layer struct {
	component string
	weights   map[string][]int
	rows      int // of the weight as the file has it
	pieces    []piece
}

// names finds layers of a model by their names in files.
type finder struct {
	targets  Targets
	denoiser string
	t5       string
	flat     map[string]map[string]string // by component: modules by their names with underscores for dots
	sizes    names.Sizes
}

func newFinder(targets Targets) *finder {
	n := &finder{targets: targets, flat: map[string]map[string]string{}}
	for component, weights := range targets {
		n.flat[component] = map[string]string{}
		for name, shape := range weights {
			if module, ok := strings.CutSuffix(name, ".weight"); ok {
				n.flat[component][strings.ReplaceAll(module, ".", "_")] = module
			}
			n.measure(component, name, shape)
		}
	}
	return n
}

// measure learns of the model by one of its weights.
func (n *finder) measure(component, name string, shape []int) {
	count := func(to *int, before, after string) {
		rest, ok := strings.CutPrefix(name, before)
		if number, ends := strings.CutSuffix(rest, after); ok && ends {
			if i, err := strconv.Atoi(number); err == nil {
				*to = max(*to, i+1)
			}
		}
	}
	switch component {
	case "unet", "transformer":
		n.denoiser = component
		count(&n.sizes.Layers, "down_blocks.0.resnets.", ".conv1.weight")
		count(&n.sizes.Blocks, "transformer_blocks.", ".attn.to_q.weight")
		if name == "x_embedder.weight" && len(shape) > 0 {
			n.sizes.Width = shape[0]
		}
	default:
		if strings.Contains(name, ".SelfAttention.") {
			n.t5 = component
		}
	}
}

// find finds the layer of a stem.
func (n *finder) find(stem string, rows int) (layer, bool) {
	for _, p := range prefixes {
		rest, ok := strings.CutPrefix(stem, p.prefix)
		if !ok {
			continue
		}
		var among []string
		switch p.component {
		case "":
			among = []string{n.denoiser}
		case "t5":
			among = []string{n.t5}
		case "?":
			among = append([]string{n.denoiser}, sortedKeys(n.targets)...)
		default:
			among = []string{p.component}
		}
		for _, component := range among {
			if l, ok := n.within(component, rest, rows, p.flat); ok {
				return l, true
			}
		}
		if p.prefix != "" && p.flat { // no other way to read it
			return layer{}, false
		}
	}
	return layer{}, false
}

// within finds a layer of one component by its name there.
func (n *finder) within(component, name string, rows int, flat bool) (layer, bool) {
	weights := n.targets[component]
	l := layer{component: component, weights: weights, rows: rows}
	if len(weights) == 0 {
		return l, false
	}
	take := func(module string) bool {
		shape, ok := weights[module+".weight"]
		if ok = ok && len(shape) > 0; ok {
			l.pieces = []piece{{Name: module + ".weight", N: shape[0]}}
		}
		return ok
	}
	if flat {
		for _, f := range []string{name, strings.TrimPrefix(name, "text_model_")} {
			if module, ok := n.flat[component][f]; ok && take(module) {
				return l, true
			}
		}
		name = unflatten(name)
	}
	name = wrappers.Replace(name)
	for _, module := range []string{name, strings.TrimPrefix(name, "text_model."), name + ".0"} {
		if take(module) {
			return l, true
		}
	}
	for _, kind := range []string{"unet", "sd3", "flux", "clip"} {
		if rows == 0 {
			break
		}
		pieces := names.Layer(kind, name+".weight", rows, n.sizes)
		all := len(pieces) > 0
		for _, p := range pieces {
			_, ok := weights[p.Name]
			all = all && ok
		}
		if all {
			l.pieces = pieces
			return l, true
		}
	}
	return l, false
}

// wrappers are modules that training put around others.
var wrappers = strings.NewReplacer(".processor.", ".", "._orig_mod.", ".")

// words are the names of modules of other programs that have an underscore
// themselves.
var words = strings.Fields(`input_blocks output_blocks middle_block in_layers out_layers emb_layers skip_connection time_embed label_emb
	transformer_blocks to_q to_k to_v to_out proj_in proj_out
	joint_blocks x_block context_block adaLN_modulation final_layer x_embedder t_embedder y_embedder context_embedder
	double_blocks single_blocks img_attn txt_attn img_mlp txt_mlp img_mod txt_mod time_in vector_in guidance_in in_layer out_layer img_in txt_in
	c_fc c_proj out_proj ln_1 ln_2 ln_q ln_k token_embedding`)

// unflatten puts dots for those underscores of a name that no word has.
func unflatten(name string) string {
	parts := strings.Split(name, "_")
	var out []string
	for i := 0; i < len(parts); {
		n := 1
		for _, w := range words {
			if k := strings.Count(w, "_") + 1; k > n && i+k <= len(parts) && strings.Join(parts[i:i+k], "_") == w {
				n = k
			}
		}
		out = append(out, strings.Join(parts[i:i+n], "_"))
		i += n
	}
	return strings.Join(out, ".")
}
