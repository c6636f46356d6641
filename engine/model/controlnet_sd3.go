package model

import (
	"encoding/json"
	"fmt"
	"slices"

	"wisp/engine"
)

// sd3ControlConfig is diffusers' SD3ControlNetModel configuration: that of a
// transformer, and what there is beside.
type sd3ControlConfig struct {
	sd3Config
	unpooled bool
}

// TransformerControl are what a pipeline must know of a ControlNet for a
// transformer.
type TransformerControl struct {
	In       int  // channels of the latents, as the transformer takes them
	Context  int  // width of the text states
	Pooled   int  // of the pooled state
	Dim      int  // of a token inside
	Unpooled bool // its pooled state is zeros, and the condition's latents are not shifted
	Modes    int  // kinds of pictures that a union takes, from 0; 0 for no union
	Guidance bool // it embeds the guidance
	Blocks   Blocks
}

func parseSD3Control(config []byte) (sd3ControlConfig, error) {
	own, err := parseSD3(config)
	c := sd3ControlConfig{own, true}
	if err != nil {
		return c, err
	}
	const component = "SD3ControlNetModel"
	more := struct {
		Extra  int             `json:"extra_conditioning_channels"`
		Places *bool           `json:"use_pos_embed"`
		Kind   *string         `json:"pos_embed_type"`
		Zeros  *bool           `json:"force_zeros_for_pooled_projection"`
		Joint  json.RawMessage `json:"joint_attention_dim"`
	}{Zeros: &c.unpooled}
	if err := parse(component, config, &more); err != nil {
		return c, err
	}
	k := checker{component: component}
	if string(more.Joint) == "null" {
		k.fail("joint_attention_dim", "is null: blocks that do not read the text are not supported")
	}
	if more.Places != nil && !*more.Places {
		k.fail("use_pos_embed", "is false: a ControlNet without a table of places is not supported")
	}
	if more.Kind != nil {
		k.one("pos_embed_type", *more.Kind, "sincos")
	}
	k.within("extra_conditioning_channels", more.Extra, 0, 0)
	return c, k.err
}

// ReadSD3Control reads the facts of an SD3ControlNetModel's config.
func ReadSD3Control(config []byte) (TransformerControl, error) {
	c, err := parseSD3Control(config)
	return TransformerControl{In: c.In, Context: c.Context, Pooled: c.Pooled, Dim: c.dim, Unpooled: c.unpooled, Blocks: Blocks{Double: c.Layers}}, err
}

// SD3Control is a ControlNet for [SD3], Zhang et al. 2023, from the config of
// diffusers' SD3ControlNetModel.
//
// Inputs are those of [SD3], "condition" as "sample", a picture's latents, and
// "strength" (1), which scales every output. Outputs: "control.0" and so on,
// (batch, pixels, width), for a transformer built with [Blocks]. places is as in
// [MiddlePlaces].
func SD3Control(config []byte, batch, h, w, tokens, places int) (*engine.Graph, error) {
	c, err := parseSD3Control(config)
	if err != nil {
		return nil, err
	}
	MiddlePlaces(places)(&c.sd3Config)
	if err := c.fits("SD3ControlNetModel", h, w); err != nil {
		return nil, err
	}
	return engine.Build(func(g *engine.Graph) {
		x := patchEmbed(g, "pos_embed", g.Input("sample", engine.F32, batch, h, w, c.In), c.Patch, c.dim)
		x = engine.Add(x, c.places(g, h/c.Patch, w/c.Patch))
		context := linear(g, "context_embedder", g.Input("context", engine.F32, batch, tokens, c.Context), c.dim)
		temb := engine.SiLU(c.embedding(g, batch))
		x = engine.Add(x, patchEmbed(g, "pos_embed_input", g.Input("condition", engine.F32, batch, h, w, c.In), c.Patch, c.dim))
		output := controlOutputs(g)
		for i := range c.Layers {
			b := sd3Block{g, path("transformer_blocks").Sub(i), c.sd3Config, temb, false, slices.Contains(c.Dual, i)}
			x, context = b.forward(x, context)
			output(controlName(i), path("controlnet_blocks").Sub(i), x)
		}
	})
}

// controlOutputs makes outputs of tokens: a linear layer, and the input "strength".
func controlOutputs(g *engine.Graph) func(name string, p path, x *engine.Node) {
	strength := g.Input("strength", engine.F32, 1)
	return func(name string, p path, x *engine.Node) {
		g.Output(name, engine.Mul(linear(g, p, x, x.Shape[2]), strength))
	}
}

// controlSingle names the residual added after single blocks.
func controlSingle(i int) string { return fmt.Sprintf("control.single.%d", i) }

// Blocks are how many outputs of a ControlNet a transformer takes, "control.0" and
// "control.single.0" and so on, (batch, pixels, width), after its double and its
// single blocks.
type Blocks struct{ Double, Single int }

// CountBlocks counts a ControlNet's outputs by their names.
func CountBlocks(has func(name string) bool) (b Blocks) {
	for has(controlName(b.Double)) {
		b.Double++
	}
	for has(controlSingle(b.Single)) {
		b.Single++
	}
	return b
}
