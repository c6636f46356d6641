package diffusion

import (
	"context"
	"fmt"
	"strings"

	"wisp/engine"
	"wisp/engine/model"
)

// sanaSprint is diffusers' SanaSprintPipeline: Gemma 2, which is told to enrich
// the prompt, a transformer of linear attention that embeds its guidance, and a
// deep compression autoencoder. Chen et al. 2025. Pictures are drawn at the size
// asked for, as with use_resolution_binning False, and prompts are read in lower
// case, as with clean_caption False.
type sanaSprint struct {
	text        *gemmaText
	transformer transformer
	vae         decoder
}

// sanaInstruction is the pipeline's complex_human_instruction.
var sanaInstruction = strings.Join([]string{
	"Given a user prompt, generate an 'Enhanced prompt' that provides detailed visual descriptions suitable for image generation. Evaluate the level of detail in the user prompt:",
	"- If the prompt is simple, focus on adding specifics about colors, shapes, sizes, textures, and spatial relationships to create vivid and concrete scenes.",
	"- If the prompt is already detailed, refine and enhance the existing details slightly without overcomplicating.",
	"Here are examples of how to transform or refine prompts:",
	"- User Prompt: A cat sleeping -> Enhanced: A small, fluffy white cat curled up in a round shape, sleeping peacefully on a warm sunny windowsill, surrounded by pots of blooming red flowers.",
	"- User Prompt: A busy city street -> Enhanced: A bustling city street scene at dusk, featuring glowing street lamps, a diverse crowd of people in colorful clothing, and a double-decker bus passing by towering glass skyscrapers.",
	"Please generate only the enhanced description for the prompt below and avoid including any additional commentary or evaluations:",
	"User Prompt: ",
}, "\n")

const (
	sanaTokens   = 300 // the pipeline's max_sequence_length
	sanaMultiple = 8
)

func newSanaSprint(m Configs) (Kind, error) {
	k := &sanaSprint{}
	var err error
	if k.text, err = newGemma(m, -1); err != nil {
		return nil, err
	}
	if k.transformer, err = newTransformer(m, model.Sana); err != nil {
		return nil, err
	}
	if k.vae, err = newDecoder(m, "vae"); err != nil {
		return nil, err
	}
	if f := k.transformer.facts; k.text.facts.Width != f.Context {
		return nil, fmt.Errorf("text_encoder makes states of width %d, transformer takes %d", k.text.facts.Width, f.Context)
	}
	return k, k.vae.takes(k.transformer.facts.In)
}

// schedulerFields: latents are kept at a deviation of one, so that noise is what
// a walk begins with; the pipeline divides by sigma_data wherever it reads them.
func (k *sanaSprint) schedulerFields() map[string]any { return map[string]any{"sigma_data": 1.0} }

func (k *sanaSprint) Nets() []Net {
	return []Net{k.text.net(sanaMultiple), k.transformer.net(k, sanaMultiple), k.vae.net(), k.vae.encoder()}
}

func (k *sanaSprint) Open(m Model) error { return k.text.open(m) }

func (k *sanaSprint) Defaults() Request {
	r := k.transformer.defaults(k.vae, 32)
	r.Steps, r.Guidance = 2, 4.5
	return r
}

func (k *sanaSprint) Fields() Fields {
	f := k.transformer.fields(k.vae)
	f.NegativePrompt = false
	return f
}

func (k *sanaSprint) Latent(r Request) Latent { return k.vae.latent(r) }

// Guided: guidance is an input of the transformer.
func (k *sanaSprint) Guided(Request) bool { return false }

// Encode takes the states of the first token and of those from the last of the
// instruction on.
func (k *sanaSprint) Encode(ctx context.Context, run Runner, p Prompt) (Conditioning, error) {
	instruction, _ := k.text.tokenizer.Encode(sanaInstruction, 1<<12)
	n := len(instruction)
	hidden, mask, truncated, err := k.text.encode(ctx, run, sanaInstruction+strings.TrimSpace(strings.ToLower(p.Text)), n+sanaTokens-2, sanaMultiple)
	if err != nil {
		return Conditioning{}, err
	}
	width, all, seen := k.text.facts.Width, hidden.Float32s(), mask.Float32s()
	states, chosen := all[:width:width], seen[:1:1]
	states, chosen = append(states, all[(n-1)*width:]...), append(chosen, seen[n-1:]...)
	for len(chosen)%sanaMultiple != 0 {
		states, chosen = append(states, make([]float32, width)...), append(chosen, 0)
	}
	t := len(chosen)
	return Conditioning{Inputs{"context": engine.FromFloat32s(states, 1, t, width), "mask": engine.FromFloat32s(chosen, 1, t)}, truncated}, nil
}

func (k *sanaSprint) Inputs(r Request, t float32) Inputs {
	time, flow := model.TrigFlow(t)
	return Inputs{
		"timestep_embedding": embedded(time), "guidance_embedding": embedded(float32(r.Guidance) * k.transformer.facts.GuidanceScale),
		"trigflow": engine.FromFloat32s(flow[:], 1, 3),
	}
}

func (k *sanaSprint) Posterior(ctx context.Context, run Runner, r Request, rgb []float32) (posterior, error) {
	return k.vae.posterior(ctx, run, r, rgb)
}

func (k *sanaSprint) Decode(ctx context.Context, run Runner, r Request, x []float32) ([]float32, error) {
	return k.vae.decode(ctx, run, r, x)
}
