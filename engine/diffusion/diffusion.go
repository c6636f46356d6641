// Package diffusion turns a prompt into pictures: text encoders, the denoising
// loop and the decoder of any [Kind] of pipeline. It drives the graphs of
// engine/model on any [engine.Backend], gets weights through [Model] and knows
// neither files nor browsers. Start at [Pipeline.Generate], then read a kind:
// sd.go is the plainest.
package diffusion

import (
	"context"
	"errors"
	"image"
	"io"
	"time"
)

// ErrBadRequest: a request that cannot be carried out; the message names the
// field and says what to change.
var ErrBadRequest = errors.New("bad request")

// ErrBadModel: the model's files cannot make a pipeline.
var ErrBadModel = errors.New("bad model")

// Model is where a pipeline gets its parts.
type Model interface {
	Configs
	Weights
	// File returns a small file, such as "tokenizer/vocab.json".
	File(name string) ([]byte, bool)
}

// Weights is where weights come from.
type Weights interface {
	// Stream hands out a component's weights whose names start with one of the
	// prefixes (all of them where there are none). Each calls fill for one
	// that it wants, which writes the bytes to w as engine.Streamer has it.
	Stream(ctx context.Context, component string, prefixes []string,
		each func(name, dtype string, shape []int, fill func(w io.WriterAt) error) error) error
}

// Request says what to draw. Start from [Pipeline.Defaults], which fills in
// every field but the prompt.
type Request struct {
	Prompt          string
	NegativePrompt  string
	PromptSyntax    string       // of brackets, weights and BREAK in both prompts: "a1111", "comfyui"; "" and "none" read them as they stand
	SecondPrompt    string       // for the second text encoder where there is one; empty for Prompt
	ClipSkip        int          // 2 reads CLIP's last layer but one, as users count; 0 as the model has it
	Class           int          // for a model that draws classes: its number
	Noise           string       // where it comes from: "" or "torch" as in diffusers, "cuda" as in AUTOMATIC1111, "comfyui"; with parameters: "cuda subseed=5 strength=0.3 width=512 height=512 ensd=31337"
	Seed            uint64       // of the first picture; picture i uses Seed + i
	Steps           int          // denoising steps
	Guidance        float32      // classifier-free guidance scale; 1 or less turns it off
	GuidanceRescale float32      // 0 to 1: how far a guided prediction's deviation is brought back to the prompt's
	GuidanceStart   float32      // the share of the steps after which guidance begins, 0 to 1
	GuidanceEnd     float32      // the share after which it ends; 0 stands for 1
	GuidanceMethod  string       // "" or "cfg", or one of methods with its parameters: "apg momentum=-0.5"
	SkipLayers      string       // layers that the weaker network of skip-layer guidance leaves out: "7 8 9 scale=2.8 start=0.01 stop=0.2"; empty for none
	Reuse           string       // a UNet's deep part serves this many evaluations: "deepcache interval=3 branch=0"; empty for one
	Eta             *float32     // the share of fresh noise, 0 to 1, where a sampler has one; nil for its own
	Churn           string       // of Karras et al.'s algorithm 2, in euler, heun and dpm_2: "20 min=0.05 max=50 noise=1.003"; empty for none
	Sampler         string       // a name from sampler.List; empty for the model's own
	Schedule        string       // "", "karras", ...: how the sampler spaces its sigmas
	Width, Height   int          // in pixels; both 0 for those of Image, as near as the model has it
	Count           int          // pictures
	Image           *image.NRGBA // to begin with; nil to begin with noise
	Strength        float32      // of the change to Image: 1 is a picture of its own, near 0 the same
	Loras           []Lora       // adapters to wear, beside those that the prompt names
	Wardrobe        []string     // ids of the adapters that there are for Loras and the prompt; nil for all that the pipeline has
	Previews        bool         // decode the prediction of each step into Event.Preview

	NoiseLevel    int          // of a model that enlarges pictures: the noise that Image gets, a training step; the more, the freer
	ImageGuidance float32      // of a model that changes pictures: how closely to keep to Image; under 1 turns its guidance off
	Mask          *image.NRGBA // of Image's size: what is white is drawn anew
	MaskBlur      int          // radius of the mask's soft edge, in pixels of Image
	OnlyMasked    bool         // draw the part around the mask at the request's size, and put it into Image at its own
	MaskPadding   int          // pixels around the mask that OnlyMasked draws, too

	UpscaleBy       float32 // draw the picture again, so many times as large; 0 and 1 for not
	Upscaler        string  // "latent" or "", "lanczos": what enlarges it
	UpscaleSteps    int     // of the second pass; 0 for Steps
	UpscaleStrength float32 // as Strength, for the second pass

	pass bool      // of the two that UpscaleBy makes
	bare bool      // leave the latents as they are, undecoded
	from []float32 // latents to begin with in place of Image's

	References      []*image.NRGBA // pictures that the denoiser reads beside the words, through an IP-Adapter or, up to four, by itself: then a size of 0 is the first one's
	ReferenceWeight float32        // how closely to keep to them; 1 is as it was trained

	SourcePrompt string // what the picture shows before Prompt changes it: drawn first, or Image inverted; its attention is kept
	Kept         string // how much of that: shares of the steps for words and pixels, and weights of words: "cross=0.8 self=0.4 blue=2"

	Controls  []Control // pictures that steer
	GuessMode bool      // Controls steer the prompt's row alone, the less the earlier in the denoiser, as if there were no prompt

	// Pixels to be drawn around Image.
	OutpaintLeft, OutpaintTop, OutpaintRight, OutpaintBottom int
}

// Event reports progress: of weights in "load", networks in "compile", steps
// over all pictures in "denoise", pictures in "decode"; "text" has no numbers.
type Event struct {
	Stage       string
	Done, Total int
	Preview     *image.NRGBA // in "denoise", where it was asked for
}

// Timings says how long each stage took.
type Timings struct{ Text, Denoise, Decode, Total time.Duration }

// Result is what Generate returns.
type Result struct {
	Images     []*image.NRGBA
	Seed       uint64
	Notices    []string // settings that changed nothing, and why
	Truncated  bool     // the prompt was longer than the text encoder can read
	Timings    Timings
	latents    [][]float32
	Parameters []string // the settings of each picture, in the form AUTOMATIC1111 writes into PNG files
}

// Defaults is the optional wisp.json of a model.
type Defaults struct {
	Name     string  `json:"name"`
	Steps    int     `json:"steps"`
	Guidance float32 `json:"guidance"`
	Schedule string  `json:"schedule"` // one of sampler.Schedules
	// Timesteps has, by the number of steps, those that the model's own sampler visits with the schedule above: what
	// tune found.
	Timesteps map[string][]float64 `json:"timesteps"`
}
