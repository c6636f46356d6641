package diffusion

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"wisp/engine"
	"wisp/engine/model"
)

// Inputs are the named inputs or outputs of a graph. Those of a [Row] and of
// [Kind.Inputs] have a batch of one.
type Inputs map[string]engine.Tensor

// Size says how large a network is drawn. What a network lacks is zero.
type Size struct {
	Images        int          // tokens of pictures that a denoiser reads beside its text
	Control       bool         // a denoiser takes a ControlNet's outputs
	Blocks        model.Blocks // of a ControlNet that a transformer takes
	Adapter       int          // outputs of a T2I-Adapter that a denoiser takes
	Deep          int          // a denoiser gives its deep part, cut off at the branch of that number, from 1, or, negative, takes it; 0 for neither
	Kept          int          // the row of a batch, from 1, that keeps the last one's attention; 0 for none
	Batch         int
	Height, Width int                 // of its image, in latents for a denoiser and a decoder
	Tokens        int                 // of its text
	Skip          int                 // last layers of a text encoder left out; 0 for what the kind leaves out, −1 for none
	Without       uint64              // layers of a denoiser left out, a bit each
	References    [maxFollowed][2]int // height and width of pictures that a denoiser attends to
}

// without lists the layers left out.
func (s Size) without() (list []int) {
	for i := range 64 {
		if s.Without>>i&1 != 0 {
			list = append(list, i)
		}
	}
	return list
}

// Net is one network of a pipeline: where its weights are and how it is drawn.
type Net struct {
	Component string   // "unet", "text_encoder_2": as diffusers names its folder
	From      Weights  // nil for the model
	Name      string   // where a component has two networks; "" for Component
	Prefixes  []string // of the weights wanted; none for all
	Late      bool     // weights are asked for when the first drawing needs them, and may be missing
	Denoiser  bool     // it is evaluated at each step, on the rows of a drawing
	Size      func(Request) Size
	Graph     func(Size) (*engine.Graph, error)
	Fixed     []string // inputs that stay the same over the steps of a picture

	// Middle names weights that are square tables of places, of which the graph
	// may want the middle alone.
	Middle []string
	Tile   Tile // how an autoencoder is cut where memory is short; zero for never

	// Derive adds the inputs that follow from weights kept on the host, those
	// that Host names, and from what is given.
	Host   []string
	Derive func(host map[string][]float32, in Inputs)
}

// name is what a [Runner] knows it by.
func (n Net) name() string { return cmp.Or(n.Name, n.Component) }

// Runner evaluates networks of a pipeline, loading and compiling them where
// need be.
type Runner interface {
	// Run returns all outputs of a network's graph, drawn at a size.
	Run(ctx context.Context, net string, s Size, in Inputs) (Inputs, error)
}

// Prompt is a text as one row is conditioned on it, with what conditions it
// beside the words.
type Prompt struct {
	Text          string
	Second        string // for a second text encoder; empty for the same text
	Syntax        string // of its brackets, as in Request
	Negative      bool   // it says what to avoid
	ClipSkip      int    // as in Request
	Class         int    // as in Request
	Height, Width int    // of the picture, in pixels

	worn string // tells apart what the text encoders wear
}

// second is the text for the second text encoder.
func (p Prompt) second() string { return cmp.Or(p.Second, p.Text) }

// plain tells that brackets are read as they stand.
func (p Prompt) plain() bool { return p.Syntax == "" || p.Syntax == syntaxNone }

// Fields tells which fields of a request a kind has beside those that all have.
type Fields struct {
	Prompt, NegativePrompt, SecondPrompt bool
	Weights                              bool // PromptSyntax counts
	Labels                               bool // Prompt may name a class
	Guidance                             bool
	References                           bool   // the denoiser reads References by itself
	ClipSkip                             int    // the most
	Penultimate                          bool   // CLIP's last layer but one is what is read by default
	Classes                              int    // that Class may name, from 0; 0 where it may not
	Image                                string // "needed", "masked" with a mask, "taken"; see [Pipeline.Fields]
	Multiple                             int    // of width and height, in pixels
	Largest                              int    // the most that both may be, in pixels; 0 for the engine's own bound
	Layers                               int    // that SkipLayers may name, from 0; 0 where it may not
	Branches                             int    // that Reuse may name, from 0; 0 where it may not
}

// Conditioning is what a prompt becomes.
type Conditioning struct {
	Inputs    Inputs
	Truncated bool // the prompt was longer than a text encoder can read
}

// Latent is what the sampler walks: the denoiser's sample, without the batch.
// With Patch p over 1, each of its channels' groups (c, p, p), c first, was a
// square of p × p latents: so much is the noise drawn for.
type Latent struct {
	Height, Width, Channels, Patch int
	Beside                         int  // channels that the denoiser reads after the sample's: as many, a picture's to be changed; one more, a mask before them and what lies outside of it
	Scaled                         bool // the picture to be changed is scaled as the sample is
	Varies                         bool // the denoiser gives a variance after the prediction, for the sampler
}

// Configs has the configurations of a model, as its libraries wrote them.
type Configs interface {
	// Config returns a component's configuration as diffusers wrote it: "unet",
	// "vae", "text_encoder", "scheduler"; "model_index", and "wisp" for [Defaults].
	Config(component string) (json.RawMessage, bool)
}

// Kind is a family of pipelines: what networks there are and what feeds them.
// A kind is made of configurations alone; Open comes before a prompt.
type Kind interface {
	// Nets lists the networks in the order in which a drawing needs them.
	Nets() []Net
	// Open reads the small files, such as tokenizers, and validates that the
	// parts fit together.
	Open(Model) error
	// Defaults is the request of the kind's publisher: size, steps, guidance.
	Defaults() Request
	// Fields are those of a request that the kind reads.
	Fields() Fields
	// Latent is what a request's picture is made from.
	Latent(Request) Latent
	// Guided tells whether the request is drawn with a second, negative row:
	// classifier-free guidance, Ho & Salimans 2022.
	Guided(Request) bool
	// Encode makes of a prompt what the denoiser's rows are fed, the same at
	// all steps.
	Encode(context.Context, Runner, Prompt) (Conditioning, error)
	// Inputs is what the denoiser is fed at timestep t besides.
	Inputs(r Request, t float32) Inputs
	// Posterior is where the latents of a picture lie, whose colours (height,
	// width, 3) are from −1 to 1.
	Posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error)
	// Decode turns the latents x (h, w, c) into a picture's colours
	// (height, width, 3), from −1 to 1.
	Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error)
}

// shifting is a [Kind] whose pipeline shifts the noise levels by a rule of its
// own; the result is mu.
type shifting interface {
	shift(tokens, steps int) float64
}

// scaling is a [Kind] whose pipeline counts guidance from another number than 1,
// which is none; the result counts from 1.
type scaling interface{ scale(Request) float32 }

// partlyGuided is a [Kind] whose pipeline guides the first channels alone.
type partlyGuided interface{ guidedChannels() int }

// insistent is a [Kind] whose pipeline sets fields of the scheduler's config,
// whatever the file says.
type insistent interface{ schedulerFields() map[string]any }

// kinds are the pipelines that there are, by the _class_name of
// model_index.json.
var kinds = map[string]func(Configs) (Kind, error){
	"AuraFlowPipeline":                         newAuraFlow,
	"ConsistencyModelPipeline":                 newUnconditional(1, ""),
	"DDIMPipeline":                             newUnconditional(50, ""),
	"DDPMPipeline":                             newUnconditional(1000, ""),
	"DiTPipeline":                              newDiT,
	"Flux2KleinPipeline":                       newFlux2Klein,
	"FluxPipeline":                             newFlux,
	"HunyuanDiTPipeline":                       newHunyuan,
	"LDMPipeline":                              newUnconditional(50, "vqvae"),
	"LatentConsistencyModelPipeline":           newStableDiffusion,
	"LuminaPipeline":                           newLumina,
	"PNDMPipeline":                             newUnconditional(50, ""),
	"PixArtAlphaPipeline":                      newPixArt,
	"PixArtSigmaPipeline":                      newPixArt,
	"ScoreSdeVePipeline":                       newScoreSDE,
	"SanaSprintPipeline":                       newSanaSprint,
	"SiTPipeline":                              newSiT,
	"StableDiffusion3Img2ImgPipeline":          newStableDiffusion3,
	"StableDiffusion3InpaintPipeline":          newStableDiffusion3,
	"StableDiffusion3Pipeline":                 newStableDiffusion3,
	"StableDiffusionImg2ImgPipeline":           newInsistentSD("clip_sample", false),
	"StableDiffusionInpaintPipeline":           newInsistentSD("skip_prk_steps", true),
	"StableDiffusionInstructPix2PixPipeline":   newStableDiffusion,
	"StableDiffusionUpscalePipeline":           newSDUpscale,
	"StableDiffusionPipeline":                  newInsistentSD("clip_sample", false),
	"StableDiffusionXLImg2ImgPipeline":         newXLImageToImage,
	"StableDiffusionXLInpaintPipeline":         newStableDiffusionXL,
	"StableDiffusionXLInstructPix2PixPipeline": newStableDiffusionXL,
	"StableDiffusionXLPipeline":                newStableDiffusionXL,
	"UViTPipeline":                             newUViT,
	"ZImagePipeline":                           newZImage,
}

// className is a string or, of a pipeline that brings its code, that file's name
// and the string.
type className string

// UnmarshalJSON reads either form.
func (c *className) UnmarshalJSON(b []byte) error {
	var pair []string
	if json.Unmarshal(b, &pair) == nil && len(pair) == 2 {
		*c = className(pair[1])
		return nil
	}
	return json.Unmarshal(b, (*string)(c))
}

// newKind makes the kind that the model's index names.
func newKind(m Configs) (Kind, error) {
	var index struct {
		Class className `json:"_class_name"`
	}
	if err := parse(m, "model_index", &index); err != nil {
		return nil, err
	}
	class := string(index.Class)
	open, ok := kinds[class]
	if !ok {
		names := slices.Sorted(maps.Keys(kinds))
		return nil, fmt.Errorf("model_index.json: _class_name is %.100q, which wisp does not draw; it draws %s", class, strings.Join(names, ", "))
	}
	k, err := open(m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", class, err)
	}
	return k, nil
}

// Nets lists the networks that a pipeline loads of a model before it draws, for
// who downloads them. It needs the configurations only.
func Nets(m Configs) ([]Net, error) {
	k, err := newKind(m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadModel, err)
	}
	return slices.DeleteFunc(k.Nets(), func(n Net) bool { return n.Late }), nil
}

// Components lists those whose weights a pipeline of a model reads, in the order
// of need, for who packs them. It needs the configurations only.
func Components(m Configs) (list []string, err error) {
	k, err := newKind(m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadModel, err)
	}
	for _, n := range k.Nets() {
		if !slices.Contains(list, n.Component) {
			list = append(list, n.Component)
		}
	}
	return list, nil
}

// parse decodes a component's config into v.
func parse(m Configs, name string, v any) error {
	config, ok := m.Config(name)
	if !ok {
		return fmt.Errorf("the model has no %s config", name)
	}
	if err := json.Unmarshal(config, v); err != nil {
		return fmt.Errorf("%s config: %w", name, err)
	}
	return nil
}
