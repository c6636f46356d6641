package tests

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"wisp/engine"
	"wisp/engine/diffusion"
)

// broken is a model one of whose weights is NaN or infinite throughout, as no
// packer makes it.
type broken struct {
	diffusion.Model
	component, name string
	value           float64
}

func (b broken) Stream(ctx context.Context, component string, prefixes []string, each func(name, dtype string, shape []int, fill func(io.WriterAt) error) error) error {
	return b.Model.Stream(ctx, component, prefixes, func(name, dtype string, shape []int, fill func(io.WriterAt) error) error {
		if component != b.component || name != b.name {
			return each(name, dtype, shape, fill)
		}
		t := engine.NewTensor(engine.F32, shape...)
		for i := 0; i < len(t.Data); i += 4 {
			binary.LittleEndian.PutUint32(t.Data[i:], math.Float32bits(float32(b.value)))
		}
		return each(name, "f32", shape, func(w io.WriterAt) error { _, err := w.WriteAt(t.Data, 0); return err })
	})
}

// TestNotFinite: a network whose result is not finite is an error that names
// it, never a black or noisy picture.
func TestNotFinite(t *testing.T) { checkNotFinite(t, backends(t)) }

func checkNotFinite(t *testing.T, list []labelled) {
	t.Helper()
	m, rectified := directory{t, filepath.Join(plainPipeline, "model")}, directory{t, filepath.Join("golden", "pipeline", "lcm", "model")}
	for _, bad := range []broken{
		{m, "text_encoder", "final_layer_norm.bias", math.NaN()}, {m, "unet", "conv_out.bias", math.NaN()},
		{m, "unet", "conv_in.bias", math.Inf(1)}, {m, "vae", "decoder.conv_out.bias", math.NaN()}, {m, "vae", "decoder.conv_in.bias", math.Inf(-1)},
		{rectified, "vae", "decoder.layers.0.bias", math.NaN()}, {rectified, "vae", "decoder.layers.2.conv.2.bias", math.NaN()},
	} {
		for _, b := range list {
			p, err := diffusion.New(t.Context(), b.Backend, bad, nil)
			if err == nil {
				r := p.Defaults()
				r.Prompt, r.Steps, r.Width, r.Height = "red cat", 1, 16, 16
				_, err = p.Generate(t.Context(), r, nil)
				p.Close()
			}
			if !errors.Is(err, diffusion.ErrBadModel) || !strings.Contains(err.Error(), bad.component) || !strings.Contains(err.Error(), "finite") {
				t.Errorf("%s: %s %s of %v: error %v", b.label, bad.component, bad.name, bad.value, err)
			}
		}
	}
}
