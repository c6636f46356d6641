// Package diffusion turns a prompt into pictures: tokenizer, text encoder,
// the denoising loop with classifier-free guidance (Ho & Salimans 2022), and
// the decoder. It drives the graphs of engine/model on any [engine.Backend],
// gets weights through [Model] and knows neither files nor browsers.
// Start at [New] and [Pipeline.Generate].
package diffusion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"strings"
	"time"

	"wisp/engine"
)

// ErrBadRequest: a request that cannot be carried out; the message names the
// field and says what to change.
var ErrBadRequest = errors.New("bad request")

// ErrBadModel: the model's files cannot make a pipeline.
var ErrBadModel = errors.New("bad model")

// Model is where a pipeline gets its parts.
type Model interface {
	// Config returns a component's configuration as diffusers wrote it:
	// "unet", "vae", "text_encoder", "scheduler", and "wisp" for [Defaults].
	Config(component string) (json.RawMessage, bool)
	// File returns a small file, such as "tokenizer/vocab.json".
	File(name string) ([]byte, bool)
	// Stream hands out a component's weights whose names start with one of the
	// prefixes (all of them where there are none). Each calls fill for one
	// that it wants, which writes the bytes to w as engine.Streamer has it.
	Stream(ctx context.Context, component string, prefixes []string,
		each func(name, dtype string, shape []int, fill func(w io.WriterAt) error) error) error
}

// Request says what to draw. Start from [Pipeline.Defaults], which fills in
// every field but the prompt.
type Request struct {
	Prompt         string
	NegativePrompt string
	Seed           uint64  // of the first picture; picture i uses Seed + i
	Steps          int     // denoising steps
	Guidance       float32 // classifier-free guidance scale; 1 or less turns it off
	Sampler        string  // a name from sampler.List; empty for the model's own
	Schedule       string  // "", "karras", ...: how the sampler spaces its sigmas
	Width, Height  int     // in pixels
	Count          int     // pictures
	Previews       bool    // decode the prediction of each step into Event.Preview
}

// Event reports progress during Generate.
type Event struct {
	Stage       string // "text", "denoise" or "decode"
	Step, Steps int    // finished and total steps over all pictures, in "denoise"
	Preview     *image.NRGBA
}

// Timings says how long each stage took.
type Timings struct{ Text, Denoise, Decode, Total time.Duration }

// Result is what Generate returns.
type Result struct {
	Images     []*image.NRGBA
	Seed       uint64
	Truncated  bool // the prompt was longer than the text encoder can read
	Timings    Timings
	Parameters []string // the settings of each picture, in the form AUTOMATIC1111 writes into PNG files
}

// Defaults is the optional wisp.json of a model.
type Defaults struct {
	Name     string  `json:"name"`
	Steps    int     `json:"steps"`
	Guidance float32 `json:"guidance"`
	Schedule string  `json:"schedule"` // one of sampler.Schedules
}

// component is one network of the pipeline with its weights on the backend.
type component struct {
	name     string
	config   []byte
	prefixes []string                 // of the weights that it needs; none for all
	weights  map[string]engine.Buffer // nil before they are loaded
}

// load has the weights that graph needs written to the backend.
func (c *component) load(ctx context.Context, b engine.Backend, m Model, g *engine.Graph) error {
	need := map[string]*engine.Node{}
	for _, n := range g.Weights() {
		need[n.Name] = n
	}
	c.weights = map[string]engine.Buffer{}
	return m.Stream(ctx, c.name, c.prefixes, func(name, dtype string, shape []int, fill func(io.WriterAt) error) error {
		name = plainName(name)
		n := need[name]
		if n == nil {
			return nil
		}
		d, err := engine.ParseDType(dtype)
		if err != nil || d == engine.I32 || !n.Shape.Equal(shape) {
			return fmt.Errorf("%w: weight %q is %s %v, the config wants numbers %v", ErrBadModel, name, dtype, shape, n.Shape)
		}
		w, err := engine.Stream(b, d, shape, fill)
		if err != nil {
			return err
		}
		if twice := c.weights[name]; twice != nil {
			twice.Release()
		}
		c.weights[name] = w
		return nil
	})
}

// plainName is a weight's name as the graphs have it: older transformers nest
// the text encoder.
func plainName(name string) string { return strings.TrimPrefix(name, "text_model.") }

func (c *component) release() {
	for _, w := range c.weights {
		w.Release()
	}
	c.weights = nil
}
