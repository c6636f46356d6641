package model

import (
	"cmp"
	"encoding/json"

	"wisp/engine"
)

// UNetFacts are what a sampling loop must know of a UNet2DConditionModel.
type UNetFacts struct {
	In, Out       int  // channels of the latents, and of the prediction
	Height, Width int  // sample_size in latents; 0 where the config has none
	Context       int  // width of the text states
	Embedding     int  // width of the timestep embedding
	TimestepCond  int  // width of the "timestep_cond" input; 0 without
	Added         int  // width of the "added_embedding" input; 0 without
	AddedTime     int  // width of the TimestepEmbedding of one time id; 0 without
	Levels        int  // blocks of the way down
	Branches      int  // at which its deep part may be cut off: see [WithDeep]
	Classes       int  // that "class_labels" may name, from 0; 0 without
	Labelled      bool // takes "class_labels" or "class_embedding"

	flipSinToCos bool
	freqShift    float32
}

// TimestepEmbedding is the "timestep_embedding" input for t, (len(t), Embedding).
func (f UNetFacts) TimestepEmbedding(t []float32) []float32 {
	return TimestepEmbedding(t, f.Embedding, f.flipSinToCos, f.freqShift)
}

// AddedEmbedding is the part of the "added_embedding" input that tells of the
// time ids, (len(ids)·AddedTime).
func (f UNetFacts) AddedEmbedding(ids []float32) []float32 {
	return TimestepEmbedding(ids, f.AddedTime, f.flipSinToCos, f.freqShift)
}

// ReadUNet reads the facts of a UNet2DConditionModel's config, and whether
// [UNet2DCondition] can build it.
func ReadUNet(config []byte) (UNetFacts, error) {
	c, err := parseUNet(config)
	if err != nil {
		return UNetFacts{}, err
	}
	more := struct {
		SampleSize   json.RawMessage `json:"sample_size"` // a number, or [h, w]
		FlipSinToCos bool            `json:"flip_sin_to_cos"`
		FreqShift    float32         `json:"freq_shift"`
		AddedTime    *int            `json:"addition_time_embed_dim"`
	}{FlipSinToCos: true}
	const component = "UNet2DConditionModel"
	if err := parse(component, config, &more); err != nil {
		return UNetFacts{}, err
	}
	f := UNetFacts{
		In: c.In, Out: c.Out, Levels: len(c.Channels), Context: c.Context.at(0), Embedding: c.Channels[0], Branches: c.skips(),
		Labelled: c.Classes != nil || c.ClassType != nil, flipSinToCos: more.FlipSinToCos, freqShift: more.FreqShift,
	}
	for to, v := range map[*int]*int{
		&f.Context: c.ContextIn, &f.TimestepCond: c.TimeCondDim, &f.Added: c.AdditionDim, &f.AddedTime: more.AddedTime, &f.Classes: c.Classes,
	} {
		if v != nil {
			*to = *v
		}
	}
	k := checker{component: component}
	f.Height, f.Width = sampleSize(&k, more.SampleSize)
	k.within("addition_time_embed_dim", f.AddedTime, 0, maxWidth)
	return f, k.err
}

// UNet2DFacts are what a sampling loop must know of a UNet2DModel.
type UNet2DFacts struct {
	In, Out       int    // channels of the picture, and of the prediction
	Height, Width int    // sample_size in pixels; 0 where the config has none
	Multiple      int    // that height and width must be of
	Time          string // time_embedding_type: "positional", "fourier" or "learned"
	Embedding     int    // width of "timestep_embedding"; 0 without
	Classes       int    // that there are, 0 to Classes − 1; 0 without
	ClassWidth    int    // width of "class_embedding"; 0 without. That of the timestep's means that the class is embedded likewise

	flipSinToCos bool
	freqShift    float32
}

// TimestepEmbedding is the "timestep_embedding" input for t, (len(t),
// Embedding), of a "positional" time.
func (f UNet2DFacts) TimestepEmbedding(t []float32) []float32 {
	return TimestepEmbedding(t, f.Embedding, f.flipSinToCos, f.freqShift)
}

// ReadUNet2D reads the facts of a UNet2DModel's config, and whether [UNet2D]
// can build it.
func ReadUNet2D(config []byte) (UNet2DFacts, error) {
	c, err := parseUNet2D(config)
	if err != nil {
		return UNet2DFacts{}, err
	}
	more := struct {
		SampleSize   json.RawMessage `json:"sample_size"`
		FlipSinToCos bool            `json:"flip_sin_to_cos"`
		FreqShift    float32         `json:"freq_shift"`
	}{FlipSinToCos: true}
	if err := parse("UNet2DModel", config, &more); err != nil {
		return UNet2DFacts{}, err
	}
	k := checker{component: "UNet2DModel"}
	f := UNet2DFacts{
		In: c.In, Out: c.Out, Time: c.TimeType, Embedding: c.Channels[0], Multiple: 1 << (len(c.Channels) - 1),
		flipSinToCos: more.FlipSinToCos, freqShift: more.FreqShift,
	}
	f.Height, f.Width = sampleSize(&k, more.SampleSize)
	switch c.TimeType {
	case "fourier":
		f.Embedding *= 2
	case "learned":
		f.Embedding = 0
	}
	switch {
	case c.ClassType != nil && *c.ClassType == "timestep":
		f.ClassWidth = f.Embedding
	case c.ClassType != nil:
		if f.ClassWidth = 4 * c.Channels[0]; c.TimeDim != nil {
			f.ClassWidth = *c.TimeDim
		}
	case c.Classes != nil:
		f.Classes = *c.Classes
	}
	return f, k.err
}

// sampleSize reads a size given as one number or as height and width.
func sampleSize(k *checker, raw json.RawMessage) (h, w int) {
	var size perBlock[int]
	if len(raw) == 0 || string(raw) == "null" {
		return 0, 0
	}
	if err := json.Unmarshal(raw, &size); err != nil || len(size) < 1 || len(size) > 2 {
		k.fail("sample_size", "is %.100s, want a number or two", raw)
		return 0, 0
	}
	h, w = size.at(0), size.at(len(size)-1)
	k.within("sample_size", min(h, w), 1, 1<<14)
	k.within("sample_size", max(h, w), 1, 1<<14)
	return h, w
}

// AutoencoderFacts are what a pipeline must know of its autoencoder.
type AutoencoderFacts struct {
	Latent  int     // channels of the latents
	Factor  int     // pixels that a latent spans in each direction
	Scaling float32 // latents are divided by it before decoding
	Shift   float32 // and this is added to them
	Sample  int     // pixels on a side of an AutoencoderKL's tiles, a multiple of Factor; 0 where it has none
	Upcast  bool    // f16 is too narrow for it, in the eyes of pipelines that look at force_upcast
	NormEps float32 // batch_norm_eps of AutoencoderKLFlux2, whose decoder takes the mean and std; 0 for the others

	mean, std []float32 // of each channel, where the config has them
	class     string
}

// Denormalise turns a sampler's latents x, channels last, into the decoder's
// input, as diffusers' pipelines do before decoding.
func (f AutoencoderFacts) Denormalise(x []float32) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		if f.mean != nil {
			c := i % f.Latent
			out[i] = v*f.std[c]/f.Scaling + f.mean[c]
		} else {
			out[i] = v/f.Scaling + f.Shift
		}
	}
	return out
}

// Normalise turns an encoder's latents x, channels last, into a sampler's: the
// inverse of [AutoencoderFacts.Denormalise].
func (f AutoencoderFacts) Normalise(x []float32) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		if f.mean != nil {
			c := i % f.Latent
			out[i] = (v - f.mean[c]) * f.Scaling / f.std[c]
		} else {
			out[i] = (v - f.Shift) * f.Scaling
		}
	}
	return out
}

// Deviation is what Normalise makes of a standard deviation in channel c.
func (f AutoencoderFacts) Deviation(c int, v float32) float32 {
	if f.mean != nil {
		return v * f.Scaling / f.std[c]
	}
	return v * f.Scaling
}

// ReadAutoencoder reads the facts of an AutoencoderKL's, AutoencoderTiny's or
// VQModel's config, by its _class_name, and whether this package can build it.
func ReadAutoencoder(config []byte) (AutoencoderFacts, error) {
	var class struct {
		Name string `json:"_class_name"`
	}
	if err := parse("autoencoder", config, &class); err != nil {
		return AutoencoderFacts{}, err
	}
	k := checker{component: "autoencoder"}
	k.one("_class_name", class.Name, "AutoencoderDC", "AutoencoderKL", "AutoencoderKLFlux2", "AutoencoderTiny", "VQModel")
	if k.err != nil {
		return AutoencoderFacts{}, k.err
	}
	f := AutoencoderFacts{class: class.Name}
	latents := struct {
		Scaling float32   `json:"scaling_factor"`
		Shift   float32   `json:"shift_factor"`
		Mean    []float32 `json:"latents_mean"`
		Std     []float32 `json:"latents_std"`
	}{Scaling: 0.18215}
	switch f.class {
	case "AutoencoderTiny":
		latents.Scaling = 1
		c, err := parseTiny(config)
		if err != nil {
			return f, err
		}
		f.Latent, f.Factor = c.Latent, 1
		for range c.DecoderWidths[1:] {
			f.Factor *= c.UpsampleFactor
		}
	case "AutoencoderDC":
		c, err := parseDC(config)
		if err != nil {
			return f, err
		}
		latents.Scaling = 1
		f.Latent, f.Factor = c.Latent, 1<<(len(c.EncWidths)-1)
	case "AutoencoderKLFlux2":
		c, err := parseKLFlux2(config)
		if err != nil {
			return f, err
		}
		latents.Scaling = 1
		f.Latent, f.Factor, f.NormEps = 4*c.Latent, 1<<len(c.Channels), c.Eps
	case "VQModel":
		c, err := parseVQ(config)
		if err != nil {
			return f, err
		}
		f.Latent, f.Factor = c.width, 1<<(len(c.Channels)-1)
	default:
		c, err := parseKL(config)
		if err != nil {
			return f, err
		}
		f.Latent, f.Factor = c.Latent, 1<<(len(c.Channels)-1)
	}
	if err := f.readTiles(config); err != nil {
		return f, err
	}
	if err := parse(class.Name, config, &latents); err != nil {
		return f, err
	}
	f.Scaling, f.Shift = latents.Scaling, latents.Shift
	if f.Scaling == 0 {
		k.fail("scaling_factor", "is 0")
	}
	if latents.Mean != nil && latents.Std != nil && f.class != "AutoencoderTiny" {
		f.mean, f.std = latents.Mean, latents.Std
		k.within("length of latents_mean", len(f.mean), f.Latent, f.Latent)
		k.within("length of latents_std", len(f.std), f.Latent, f.Latent)
	}
	k.within("pixels to a latent", f.Factor, 1, 1024)
	return f, k.err
}

// readTiles reads what the classes with tiles have beside the rest.
func (f *AutoencoderFacts) readTiles(config []byte) error {
	c := struct {
		Sample json.RawMessage `json:"sample_size"`
		Upcast bool            `json:"force_upcast"`
	}{Upcast: true}
	if f.class != "AutoencoderKL" && f.class != "AutoencoderKLFlux2" {
		return nil
	}
	if err := parse(f.class, config, &c); err != nil {
		return err
	}
	k := checker{component: f.class}
	size, _ := sampleSize(&k, c.Sample)
	f.Upcast, f.Sample = c.Upcast, max(cmp.Or(size, 512)/f.Factor, 4)*f.Factor
	return k.err
}

// Decoder is [AutoencoderTinyDecoder], [AutoencoderKLDecoder] or
// [VQModelDecoder], by the config's _class_name.
func Decoder(config []byte, batch, h, w int) (*engine.Graph, error) {
	f, err := ReadAutoencoder(config)
	if err != nil {
		return nil, err
	}
	switch f.class {
	case "AutoencoderTiny":
		return AutoencoderTinyDecoder(config, batch, h, w)
	case "AutoencoderDC":
		return AutoencoderDCDecoder(config, batch, h, w)
	case "AutoencoderKLFlux2":
		return AutoencoderKLFlux2Decoder(config, batch, h, w)
	case "VQModel":
		return VQModelDecoder(config, batch, h, w)
	}
	return AutoencoderKLDecoder(config, batch, h, w)
}

// Encoder is the other half: outputs are "latents", or "mean" and "logvar" of
// an AutoencoderKL.
func Encoder(config []byte, batch, h, w int) (*engine.Graph, error) {
	f, err := ReadAutoencoder(config)
	if err != nil {
		return nil, err
	}
	switch f.class {
	case "AutoencoderTiny":
		return AutoencoderTinyEncoder(config, batch, h, w)
	case "AutoencoderDC":
		return AutoencoderDCEncoder(config, batch, h, w)
	case "AutoencoderKLFlux2":
		return AutoencoderKLFlux2Encoder(config, batch, h, w)
	case "VQModel":
		return VQModelEncoder(config, batch, h, w)
	}
	return AutoencoderKLEncoder(config, batch, h, w)
}

// TextFacts are what a pipeline must know of a text encoder.
type TextFacts struct {
	Tokens    int // the longest prompt it reads
	Vocab     int // ids it knows
	Width     int // of its hidden states
	Projected int // of its pooled output
	Layers    int

	end int32 // the id that ends a text
}

// End is the input "end" of [WithProjection]: 1 at the token that the pooled
// output is taken from. By transformers' rule that is the first end of text or,
// for configs that still name 2 as its id, the largest id.
func (f TextFacts) End(ids []int32) []float32 {
	at := 0
	for i, id := range ids {
		if f.end == 2 && id > ids[at] {
			at = i
		}
		if f.end != 2 && id == f.end {
			at = i
			break
		}
	}
	mask := make([]float32, len(ids))
	mask[at] = 1
	return mask
}

// ReadText reads the facts of a CLIPTextModel's config.
func ReadText(config []byte) (TextFacts, error) {
	c, err := parseCLIPText(config)
	return TextFacts{c.Positions, c.Vocab, c.Hidden, c.Projected, c.Layers, c.End}, err
}

// TimestepEmbedding256 is the embedding that diffusion transformers take of a
// timestep, a guidance scale or a size: 256 wide, cosines first, no shift.
func TimestepEmbedding256(t ...float32) []float32 { return TimestepEmbedding(t, 256, true, 0) }

// ReadT5 reads the facts of a T5EncoderModel's config; Tokens is 0, for it
// reads any number.
func ReadT5(config []byte) (TextFacts, error) {
	c, err := parseT5(config)
	return TextFacts{Vocab: c.Vocab, Width: c.Dim, Layers: c.Layers}, err
}
