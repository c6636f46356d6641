package model

import "wisp/engine"

// clipVisionConfig is transformers' CLIPVisionConfig, with its defaults.
type clipVisionConfig struct {
	Hidden    int     `json:"hidden_size"`
	Inner     int     `json:"intermediate_size"`
	Projected int     `json:"projection_dim"`
	Layers    int     `json:"num_hidden_layers"`
	Heads     int     `json:"num_attention_heads"`
	Channels  int     `json:"num_channels"`
	Size      int     `json:"image_size"`
	Patch     int     `json:"patch_size"`
	Act       string  `json:"hidden_act"`
	Eps       float32 `json:"layer_norm_eps"`
}

func parseCLIPVision(config []byte) (clipVisionConfig, error) {
	c := clipVisionConfig{768, 3072, 512, 12, 12, 3, 224, 32, "quick_gelu", 1e-5}
	if err := parse("CLIPVisionModel", config, &c); err != nil {
		return c, err
	}
	k := checker{component: "CLIPVisionModel"}
	k.width("hidden_size", c.Hidden)
	k.width("intermediate_size", c.Inner)
	k.width("projection_dim", c.Projected)
	k.within("num_hidden_layers", c.Layers, 1, maxLayers)
	k.divides("num_attention_heads", c.Heads, c.Hidden)
	k.within("num_channels", c.Channels, 3, 3)
	k.within("image_size", c.Size, 1, 4096)
	k.divides("patch_size", c.Patch, c.Size)
	k.one("hidden_act", c.Act, "quick_gelu", "gelu")
	return c, k.err
}

// VisionFacts are what a pipeline must know of a CLIPVisionModelWithProjection.
type VisionFacts struct {
	Size      int // of the square picture that it reads, in pixels
	Tokens    int // patches and one for the whole
	Width     int // of its states
	Projected int // of what it says of the whole picture
}

// ReadCLIPVision reads the facts of a CLIPVisionModelWithProjection's config.
func ReadCLIPVision(config []byte) (VisionFacts, error) {
	c, err := parseCLIPVision(config)
	if err != nil {
		return VisionFacts{}, err
	}
	side := c.Size / c.Patch
	return VisionFacts{Size: c.Size, Tokens: side*side + 1, Width: c.Hidden, Projected: c.Projected}, nil
}

// CLIPVision is the image encoder of CLIP, Radford et al. 2021, from the config
// of transformers' CLIPVisionModelWithProjection.
//
// Input "image" (batch, image_size, image_size, 3), normalised; outputs
// "projected" (batch, projection_dim), the image_embeds, and "states" (batch,
// tokens, hidden_size), the hidden states before the last layer.
func CLIPVision(config []byte, batch int) (*engine.Graph, error) {
	c, err := parseCLIPVision(config)
	if err != nil {
		return nil, err
	}
	layer := clipTextConfig{Hidden: c.Hidden, Inner: c.Inner, Heads: c.Heads, Act: c.Act, Eps: c.Eps}
	side := c.Size / c.Patch
	return engine.Build(func(g *engine.Graph) {
		p := path("vision_model")
		e := p.Sub("embeddings")
		x := g.Input("image", engine.F32, batch, c.Size, c.Size, c.Channels)
		x = tokens(engine.Conv2D(x, e.Sub("patch_embedding").weight(g, "weight", c.Hidden, c.Channels, c.Patch, c.Patch), nil, c.Patch, [4]int{}))
		whole := engine.Reshape(e.weight(g, "class_embedding", c.Hidden), 1, 1, c.Hidden)
		zeros := g.Const(engine.NewTensor(engine.F32, batch, 1, c.Hidden))
		x = engine.Concat(1, engine.Add(zeros, whole), x)
		x = engine.Add(x, e.Sub("position_embedding").weight(g, "weight", side*side+1, c.Hidden))
		x = layerNorm(g, p.Sub("pre_layrnorm"), x, c.Eps) // transformers' own spelling
		for i := range c.Layers {
			if i == c.Layers-1 {
				g.Output("states", x)
			}
			x = clipLayer(g, p.Sub("encoder", "layers", i), layer, x, false)
		}
		x = engine.Reshape(engine.Slice(x, 1, 0, 1), batch, c.Hidden)
		x = layerNorm(g, p.Sub("post_layernorm"), x, c.Eps)
		g.Output("projected", linearNoBias(g, "visual_projection", x, c.Projected))
	})
}
