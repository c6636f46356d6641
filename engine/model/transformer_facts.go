package model

// TransformerFacts are what a pipeline must know of a diffusion transformer.
type TransformerFacts struct {
	In, Out       int     // channels of "sample", and of the prediction
	Height, Width int     // sample_size in latents; 0 where the config has none
	Multiple      int     // that the sample's height and width must be of
	Largest       int     // most that they may be; 0 for any
	Context       int     // width of "context"; 0 without
	Pooled        int     // width of "pooled"; 0 without
	Inner         int     // width of a token inside, of those that take a ControlNet
	Guidance      bool    // takes "guidance_embedding"
	GuidanceScale float32 // what the guidance is multiplied by before it is embedded; 0 for 1
	Tokens        int     // of "context"; 0 for any
	ContextT5     int     // width of "context_t5"; 0 without
	TokensT5      int     // of "context_t5"
	Sized         bool    // takes embeddings of the picture's size; see the graph
	TimeScale     float32 // t_scale of Z-Image: what its time is multiplied by; 0 for the others
	Embedding     int     // width of U-ViT's embedding of the timestep; 0 for the others
	Layers        int     // that [SkipLayers] may name, from 0; 0 for none
	Classes       int     // that "class_labels" may name, from 0, the last for none; 0 without
}

// ReadTransformer reads the facts of a transformer's config, by its
// _class_name, and whether this package can build it.
func ReadTransformer(config []byte) (f TransformerFacts, err error) {
	var class struct {
		Name string `json:"_class_name"`
	}
	if err := parse("transformer", config, &class); err != nil {
		return f, err
	}
	read, ok := transformers[class.Name]
	if !ok {
		k := checker{component: "transformer"}
		k.fail("_class_name", "is %.100q", class.Name)
		return f, k.err
	}
	return read(config)
}

// transformers read the facts of each class.
var transformers = map[string]func(config []byte) (TransformerFacts, error){
	"FluxTransformer2DModel": func(config []byte) (TransformerFacts, error) {
		c, err := parseFlux(config)
		return TransformerFacts{In: c.In, Out: c.out, Multiple: 1, Context: c.Context, Pooled: c.Pooled, Inner: c.dim, Guidance: c.Guidance}, err
	},
	"Flux2Transformer2DModel": func(config []byte) (TransformerFacts, error) {
		c, err := parseFlux2(config)
		return TransformerFacts{In: c.In, Out: c.out, Multiple: 1, Context: c.Context, Guidance: c.Guidance}, err
	},
	"ZImageTransformer2DModel": func(config []byte) (TransformerFacts, error) {
		c, err := parseZImage(config)
		if err != nil {
			return TransformerFacts{}, err
		}
		return TransformerFacts{
			In: c.In, Out: c.In, Multiple: c.patch, Largest: c.patch * min(c.Lengths[1], c.Lengths[2]), Context: c.Caption, TimeScale: float32(c.Scale),
		}, nil
	},
	"SD3Transformer2DModel": func(config []byte) (TransformerFacts, error) {
		c, err := parseSD3(config)
		return TransformerFacts{
			In: c.In, Out: c.out, Height: c.Sample, Width: c.Sample, Multiple: c.Patch, Largest: c.Places * c.Patch, Context: c.Context, Pooled: c.Pooled, Inner: c.dim,
			Layers: c.Layers,
		}, err
	},
	"DiTTransformer2DModel": func(config []byte) (TransformerFacts, error) {
		c, err := parseDiT(config)
		if err != nil {
			return TransformerFacts{}, err
		}
		return TransformerFacts{In: c.In, Out: c.out, Height: c.Sample, Width: c.Sample, Multiple: c.Patch, Classes: *c.Classes + 1}, nil
	},
	"SanaTransformer2DModel": func(config []byte) (TransformerFacts, error) {
		c, err := parseSana(config)
		return TransformerFacts{
			In: c.In, Out: c.out, Height: c.Sample, Width: c.Sample, Multiple: c.Patch, Context: c.Caption, Guidance: c.Guidance, GuidanceScale: c.Guided,
		}, err
	},
	"SiTTransformer2DModel": func(config []byte) (TransformerFacts, error) {
		c, err := parseSiT(config)
		return TransformerFacts{In: c.In, Out: c.In, Height: c.Sample, Width: c.Sample, Multiple: c.Sample, Largest: c.Sample, Classes: c.Classes + 1}, err
	},
	"UViT": func(config []byte) (TransformerFacts, error) {
		c, err := parseUViT(config)
		f := TransformerFacts{In: c.In, Out: c.In, Height: c.Sample, Width: c.Sample, Multiple: c.Sample, Largest: c.Sample, Embedding: c.Dim}
		if f.Classes = max(0, c.Classes); c.Context != nil {
			f.Classes, f.Context, f.Tokens = 0, *c.Context, c.Tokens
		}
		return f, err
	},
	"AuraFlowTransformer2DModel": func(config []byte) (TransformerFacts, error) {
		c, err := parseAura(config)
		return TransformerFacts{
			In: c.In, Out: c.out, Height: c.Sample, Width: c.Sample, Multiple: c.Patch, Largest: c.side * c.Patch, Context: c.Context,
		}, err
	},
	"LuminaNextDiT2DModel": func(config []byte) (TransformerFacts, error) {
		c, err := parseLumina(config)
		return TransformerFacts{In: c.In, Out: c.out, Height: c.Sample, Width: c.Sample, Multiple: c.Patch, Context: c.Context}, err
	},
	"HunyuanDiT2DModel": func(config []byte) (TransformerFacts, error) {
		c, err := parseHunyuan(config)
		return TransformerFacts{
			In: c.In, Out: c.out, Height: c.Sample, Width: c.Sample, Multiple: c.Patch, Context: c.Context, Tokens: c.Text,
			ContextT5: c.T5, TokensT5: c.TextT5, Sized: c.Sized,
		}, err
	},
	"PixArtTransformer2DModel": func(config []byte) (TransformerFacts, error) {
		c, err := parsePixArt(config)
		return TransformerFacts{
			In: c.In, Out: c.out, Height: c.Sample, Width: c.Sample, Multiple: c.Patch, Context: c.context(), Sized: c.sized,
		}, err
	},
}
