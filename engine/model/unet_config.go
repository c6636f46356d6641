package model

import (
	"encoding/json"
	"strings"
)

// unetConfig is diffusers' UNet2DConditionModel configuration, with its defaults.
type unetConfig struct {
	In             int                     `json:"in_channels"`
	Out            int                     `json:"out_channels"`
	Center         bool                    `json:"center_input_sample"`
	DownTypes      []string                `json:"down_block_types"`
	MidType        *string                 `json:"mid_block_type"`
	UpTypes        []string                `json:"up_block_types"`
	OnlyCross      perBlock[bool]          `json:"only_cross_attention"`
	Channels       []int                   `json:"block_out_channels"`
	Layers         perBlock[int]           `json:"layers_per_block"`
	DownPadding    int                     `json:"downsample_padding"`
	MidScale       float32                 `json:"mid_block_scale_factor"`
	Act            string                  `json:"act_fn"`
	Groups         *int                    `json:"norm_num_groups"`
	Eps            float32                 `json:"norm_eps"`
	Context        perBlock[int]           `json:"cross_attention_dim"`
	Transformers   perBlock[perBlock[int]] `json:"transformer_layers_per_block"`
	TransformersUp perBlock[perBlock[int]] `json:"reverse_transformer_layers_per_block"`
	ContextIn      *int                    `json:"encoder_hid_dim"`
	ContextInType  *string                 `json:"encoder_hid_dim_type"`
	Heads          perBlock[int]           `json:"attention_head_dim"`
	LinearProj     bool                    `json:"use_linear_projection"`
	TimeScaleShift string                  `json:"resnet_time_scale_shift"`
	TimeDim        *int                    `json:"time_embedding_dim"`
	TimeType       string                  `json:"time_embedding_type"`
	TimeCondDim    *int                    `json:"time_cond_proj_dim"`
	ConvInKernel   int                     `json:"conv_in_kernel"`
	ConvOutKernel  int                     `json:"conv_out_kernel"`
	Addition       *string                 `json:"addition_embed_type"`
	AdditionDim    *int                    `json:"projection_class_embeddings_input_dim"`
	AttentionType  string                  `json:"attention_type"`
	ClassType      *string                 `json:"class_embed_type"`
	Classes        *int                    `json:"num_class_embeds"`

	// Options that no supported model uses.
	NumHeads    json.RawMessage `json:"num_attention_heads"`
	DualCross   json.RawMessage `json:"dual_cross_attention"`
	ClassConcat json.RawMessage `json:"class_embeddings_concat"`
	TimeAct     json.RawMessage `json:"time_embedding_act_fn"`
	TimePostAct json.RawMessage `json:"timestep_post_act"`
}

// unetDefaults are those of the Python constructor.
func unetDefaults() unetConfig {
	mid, groups := "UNetMidBlock2DCrossAttn", 32
	return unetConfig{
		In: 4, Out: 4,
		DownTypes: []string{"CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"},
		MidType:   &mid,
		UpTypes:   []string{"UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"},
		OnlyCross: perBlock[bool]{false}, Channels: []int{320, 640, 1280, 1280}, Layers: perBlock[int]{2},
		DownPadding: 1, MidScale: 1, Act: "silu", Groups: &groups, Eps: 1e-5,
		Context: perBlock[int]{1280}, Transformers: perBlock[perBlock[int]]{{1}}, Heads: perBlock[int]{8},
		TimeScaleShift: "default", TimeType: "positional", ConvInKernel: 3, ConvOutKernel: 3, AttentionType: "default",
	}
}

func parseUNet(config []byte) (unetConfig, error) {
	c := unetDefaults()
	if err := parse("UNet2DConditionModel", config, &c); err != nil {
		return c, err
	}
	k := checker{component: "UNet2DConditionModel"}
	c.check(&k)
	// diffusers itself refuses this one: attention_head_dim is, by an old
	// mistake of naming, the number of heads.
	k.unset("num_attention_heads", c.NumHeads)
	return c, k.err
}

func (c *unetConfig) check(k *checker) {
	if c.TransformersUp == nil {
		c.TransformersUp = c.Transformers.reversed()
	}
	c.checkShapes(k)
	if k.err == nil { // the lists have a value for every block
		c.checkBlocks(k)
	}
	c.checkOptions(k)
}

// checkShapes requires every per-block list to fit the number of blocks.
func (c *unetConfig) checkShapes(k *checker) {
	n := len(c.Channels)
	k.widths("block_out_channels", c.Channels)
	k.within("length of down_block_types", len(c.DownTypes), n, n)
	k.within("length of up_block_types", len(c.UpTypes), n, n)
	c.OnlyCross.fits(k, "only_cross_attention", n)
	c.Layers.fits(k, "layers_per_block", n)
	c.Context.fits(k, "cross_attention_dim", n)
	c.Transformers.fits(k, "transformer_layers_per_block", n)
	c.TransformersUp.fits(k, "reverse_transformer_layers_per_block", n)
	c.Heads.fits(k, "attention_head_dim", n)
	if c.Groups == nil {
		k.fail("norm_num_groups", "is null, which is not supported")
	}
}

func (c *unetConfig) checkBlocks(k *checker) {
	transformers := 0
	for i, channels := range c.Channels {
		k.one("down_block_types", c.DownTypes[i], "DownBlock2D", "CrossAttnDownBlock2D")
		k.one("up_block_types", c.UpTypes[i], "UpBlock2D", "CrossAttnUpBlock2D")
		k.within("layers_per_block", c.Layers.at(i), 1, maxLayers)
		k.width("cross_attention_dim", c.Context.at(i))
		k.divides("norm_num_groups", *c.Groups, channels)
		if c.DownTypes[i] == "CrossAttnDownBlock2D" {
			k.divides("attention_head_dim", c.Heads.at(i), channels)
			transformers += checkCounts(k, "transformer_layers_per_block", c.Transformers.at(i), c.Layers.at(i))
		}
		if j := len(c.Channels) - 1 - i; c.UpTypes[j] == "CrossAttnUpBlock2D" {
			k.divides("attention_head_dim", c.Heads.at(i), channels)
			transformers += checkCounts(k, "reverse_transformer_layers_per_block", c.TransformersUp.at(j), c.Layers.at(i)+1)
		}
	}
	last := len(c.Channels) - 1
	if c.MidType != nil && *c.MidType == "UNetMidBlock2DCrossAttn" {
		k.divides("attention_head_dim", c.Heads.at(last), c.Channels[last])
		transformers += checkCounts(k, "transformer_layers_per_block", c.Transformers.at(last), 1)
	}
	k.within("sum of transformer_layers_per_block", transformers, 0, maxTransformers)
}

// checkCounts requires a count of transformer layers for each of n attentions
// and returns their sum.
func checkCounts(k *checker, field string, counts perBlock[int], n int) (sum int) {
	if len(counts) != 1 && len(counts) < n {
		k.fail(field, "has %d values for %d layers", len(counts), n)
		return 0
	}
	for i := range min(n, maxLayers) {
		k.within(field, counts.at(i), 0, maxLayers)
		sum += counts.at(i)
	}
	return sum
}

func (c *unetConfig) checkOptions(k *checker) {
	k.width("in_channels", c.In)
	k.width("out_channels", c.Out)
	if c.MidType != nil {
		k.one("mid_block_type", *c.MidType, "UNetMidBlock2DCrossAttn", "UNetMidBlock2D")
	}
	k.one("act_fn", c.Act, "silu", "swish", "relu", "gelu")
	k.one("resnet_time_scale_shift", c.TimeScaleShift, "default", "scale_shift")
	k.one("time_embedding_type", c.TimeType, "positional")
	k.one("attention_type", c.AttentionType, "default")
	k.within("downsample_padding", c.DownPadding, 0, 1)
	if c.ConvInKernel%2 == 0 || c.ConvOutKernel%2 == 0 {
		k.fail("conv_in_kernel or conv_out_kernel", "is even")
	}
	k.within("conv_in_kernel", c.ConvInKernel, 1, 63)
	k.within("conv_out_kernel", c.ConvOutKernel, 1, 63)
	if c.MidScale == 0 {
		k.fail("mid_block_scale_factor", "is 0")
	}
	if c.ContextInType != nil {
		k.one("encoder_hid_dim_type", *c.ContextInType, "text_proj")
		if c.ContextIn == nil {
			k.fail("encoder_hid_dim", "is missing")
		}
	}
	if c.Addition != nil {
		k.one("addition_embed_type", *c.Addition, "text_time")
		if c.AdditionDim == nil {
			k.fail("projection_class_embeddings_input_dim", "is missing")
		}
	}
	if c.ClassType != nil {
		k.one("class_embed_type", *c.ClassType, "timestep", "identity", "projection", "simple_projection")
		if c.AdditionDim == nil && strings.HasSuffix(*c.ClassType, "projection") {
			k.fail("projection_class_embeddings_input_dim", "is missing")
		}
	}
	if c.Classes != nil {
		k.within("num_class_embeds", *c.Classes, 1, 1<<20)
	}
	k.optionalWidth("time_embedding_dim", c.TimeDim)
	k.optionalWidth("time_cond_proj_dim", c.TimeCondDim)
	k.optionalWidth("encoder_hid_dim", c.ContextIn)
	k.optionalWidth("projection_class_embeddings_input_dim", c.AdditionDim)
	k.unset("dual_cross_attention", c.DualCross)
	k.unset("class_embeddings_concat", c.ClassConcat)
	k.unset("time_embedding_act_fn", c.TimeAct)
	k.unset("timestep_post_act", c.TimePostAct)
}
