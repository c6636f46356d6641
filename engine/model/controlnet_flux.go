package model

import (
	"slices"

	"wisp/engine"
)

// fluxControlConfig is what diffusers' FluxControlNetModel configuration has
// beside a transformer's.
type fluxControlConfig struct {
	fluxConfig
	modes int
}

func parseFluxControl(config []byte) (fluxControlConfig, error) {
	own, err := parseFlux(config)
	c := fluxControlConfig{fluxConfig: own}
	if err != nil {
		return c, err
	}
	more := struct {
		Modes *int `json:"num_mode"`
		Hint  *int `json:"conditioning_embedding_channels"`
	}{}
	const component = "FluxControlNetModel"
	if err := parse(component, config, &more); err != nil {
		return c, err
	}
	k := checker{component: component}
	if more.Hint != nil {
		k.fail("conditioning_embedding_channels", "is %d: a ControlNet that reads pixels is not supported for this model", *more.Hint)
	}
	if more.Modes != nil {
		c.modes = *more.Modes
		k.within("num_mode", c.modes, 1, 1<<10)
	}
	return c, k.err
}

// ReadFluxControl reads the facts of a FluxControlNetModel's config.
func ReadFluxControl(config []byte) (TransformerControl, error) {
	c, err := parseFluxControl(config)
	return TransformerControl{In: c.In, Context: c.Context, Pooled: c.Pooled, Dim: c.dim, Modes: c.modes, Guidance: c.Guidance, Blocks: Blocks{c.Layers, c.Singles}}, err
}

// FluxControl is a ControlNet for [Flux], also a union for several kinds of
// pictures, from the config of diffusers' FluxControlNetModel.
//
// Inputs are those of [Flux], "condition" as "sample", a picture's packed latents,
// "strength" (1), which scales every output, and of a union "mode" (batch, 1) i32.
// Outputs: "control.0", "control.single.0" and so on, (batch, pixels, width), for a
// transformer built with [Blocks].
func FluxControl(config []byte, batch, h, w, text int) (*engine.Graph, error) {
	c, err := parseFluxControl(config)
	if err != nil {
		return nil, err
	}
	return engine.Build(func(g *engine.Graph) {
		read := func(p path, name string) *engine.Node {
			return linear(g, p, tokens(g.Input(name, engine.F32, batch, h, w, c.In)), c.dim)
		}
		x := engine.Add(read("x_embedder", "sample"), read("controlnet_x_embedder", "condition"))
		temb := engine.SiLU(c.embedding(g, batch))
		context := linear(g, "context_embedder", g.Input("context", engine.F32, batch, text, c.Context), c.dim)
		words := text
		if c.modes > 0 {
			mode := engine.Embedding(g.Weight("controlnet_mode_embedder.weight", c.modes, c.dim), g.Input("mode", engine.I32, batch, 1))
			context, words = engine.Concat(1, mode, context), text+1
		}
		places := append(slices.Repeat([][]float64{{0, 0, 0}}, words), gridPlaces(h, w, 0)...)
		b := fluxBlock{g: g, c: c.fluxConfig, temb: temb, rotary: rotaryTable(g, places, 10000, c.Axes, true)}
		o := controlOutputs(g)
		for i := range c.Layers {
			context, x = b.double(path("transformer_blocks").Sub(i), context, x)
			o(controlName(i), path("controlnet_blocks").Sub(i), x)
		}
		x = engine.Concat(1, context, x)
		for i := range c.Singles {
			x = b.single(path("single_transformer_blocks").Sub(i), x)
			o(controlSingle(i), path("controlnet_single_blocks").Sub(i), engine.Slice(x, 1, words, x.Shape[1]))
		}
	})
}
