package model

import (
	"encoding/json"

	"wisp/engine"
)

// uViTConfig are the arguments of U-ViT's published class, with its defaults.
type uViTConfig struct {
	Sample  int             `json:"img_size"`
	Patch   int             `json:"patch_size"`
	In      int             `json:"in_chans"`
	Dim     int             `json:"embed_dim"`
	Layers  int             `json:"depth"`
	Heads   int             `json:"num_heads"`
	Ratio   float64         `json:"mlp_ratio"`
	Bias    bool            `json:"qkv_bias"`
	Scale   json.RawMessage `json:"qk_scale"`
	MLP     bool            `json:"mlp_time_embed"`
	Classes int             `json:"num_classes"`
	Conv    bool            `json:"conv"`
	Skip    bool            `json:"skip"`
	Context *int            `json:"clip_dim"` // of the class that draws texts
	Tokens  int             `json:"num_clip_token"`

	before int // tokens before the patches
}

func parseUViT(config []byte) (uViTConfig, error) {
	c := uViTConfig{Sample: 224, Patch: 16, In: 3, Dim: 768, Layers: 12, Heads: 12, Ratio: 4, Classes: -1, Conv: true, Skip: true, Tokens: 77}
	if err := parse("UViT", config, &c); err != nil {
		return c, err
	}
	k := checker{component: "UViT"}
	k.width("in_chans", c.In)
	k.width("embed_dim", c.Dim)
	k.divides("num_heads", c.Heads, c.Dim)
	k.divides("an even embed_dim, for the timestep: 2", 2, c.Dim)
	k.within("depth", c.Layers, 1, maxLayers)
	k.within("patch_size", c.Patch, 1, 64)
	k.within("img_size", c.Sample, c.Patch, 1<<10)
	k.divides("patch_size", c.Patch, c.Sample)
	k.unset("qk_scale", c.Scale)
	c.before = 1
	switch {
	case c.Context != nil:
		k.width("clip_dim", *c.Context)
		k.within("num_clip_token", c.Tokens, 1, 1<<12)
		c.before += max(0, c.Tokens)
	case c.Classes != -1: // which is none; with classes the last is
		k.within("num_classes", c.Classes, 2, 1<<20)
		c.before++
	}
	k.ratio("mlp_ratio", c.Ratio, c.Dim)
	return c, k.err
}

// UViT is the transformer of Bao et al. 2023, "All are Worth Words", under the
// names of its published weights: class or text, timestep and patches are tokens
// alike, and each layer of the second half takes a skip from the first.
//
// Inputs: "sample" (batch, h, w, in_chans), h and w img_size;
// "timestep_embedding" (batch, embed_dim) from [TimestepEmbedding] with cosines
// first and no shift; with clip_dim "context" (batch, num_clip_token, clip_dim),
// else with num_classes "class_labels" (batch) i32, the last for none. Output: "sample" (batch, h, w, in_chans).
func UViT(config []byte, batch, h, w int) (*engine.Graph, error) {
	c, err := parseUViT(config)
	if err != nil {
		return nil, err
	}
	k := checker{component: "UViT"}
	if k.sample("img_size", c.Sample, h, w); k.err != nil {
		return nil, k.err
	}
	return engine.Build(func(g *engine.Graph) {
		side := c.Sample / c.Patch
		patches := side * side
		time := g.Input("timestep_embedding", engine.F32, batch, c.Dim)
		if c.MLP {
			p := path("time_embed")
			time = linear(g, p.Sub(2), engine.SiLU(linear(g, p.Sub(0), time, 4*c.Dim)), c.Dim)
		}
		token := func(x *engine.Node) *engine.Node { return engine.Reshape(x, batch, 1, c.Dim) }
		tokens := []*engine.Node{token(time)}
		switch {
		case c.Context != nil:
			tokens = append(tokens, linear(g, "context_embed", g.Input("context", engine.F32, batch, c.Tokens, *c.Context), c.Dim))
		case c.Classes > 0:
			label := engine.Embedding(g.Weight("label_emb.weight", c.Classes, c.Dim), g.Input("class_labels", engine.I32, batch))
			tokens = []*engine.Node{token(label), token(time)}
		}
		x := patchEmbed(g, "patch_embed", g.Input("sample", engine.F32, batch, h, w, c.In), c.Patch, c.Dim)
		x = engine.Concat(1, append(tokens, x)...)
		x = engine.Add(x, g.Weight("pos_embed", 1, c.before+patches, c.Dim))
		var skips []*engine.Node
		for i := range c.Layers / 2 {
			x = c.block(g, path("in_blocks").Sub(i), x)
			skips = append(skips, x)
		}
		x = c.block(g, "mid_block", x)
		for i := range c.Layers / 2 {
			p := path("out_blocks").Sub(i)
			if c.Skip {
				x = linear(g, p.Sub("skip_linear"), engine.Concat(2, x, skips[len(skips)-1-i]), c.Dim)
			}
			x = c.block(g, p, x)
		}
		x = linear(g, "decoder_pred", engine.Slice(layerNorm(g, "norm", x, 1e-5), 1, c.before, c.before+patches), c.Patch*c.Patch*c.In)
		if x = unpatch(x, side, side, c.Patch, c.In); c.Conv {
			x = conv(g, "final_layer", x, c.In, 3)
		}
		g.Output("sample", x)
	})
}

// block is self-attention and a two-layer perceptron.
func (c uViTConfig) block(g *engine.Graph, p path, x *engine.Node) *engine.Node {
	x = engine.Add(fusedAttention(g, p.Sub("attn"), layerNorm(g, p.Sub("norm1"), x, 1e-5), c.Heads, c.Bias), x)
	return engine.Add(twoLayers(g, p.Sub("mlp"), layerNorm(g, p.Sub("norm2"), x, 1e-5), engine.GELU, c.Ratio), x)
}
