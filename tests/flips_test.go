//go:build !js

package tests

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"wisp/engine/cpu"
	"wisp/engine/diffusion"
	"wisp/loader"
	"wisp/loader/pack"
	"wisp/tests/attack/row"
	"wisp/tests/golden/seeded"
)

// memoryModel is a packed model in memory: what pack writes and the loader
// reads.
type memoryModel map[string][]byte

func (m memoryModel) Write(_ context.Context, name string, b []byte) error {
	m[name] = bytes.Clone(b)
	return nil
}

func (m memoryModel) Open(_ context.Context, name string) (io.ReadCloser, error) {
	b, ok := m[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// packedModel packs a tiny pipeline.
func packedModel(t *testing.T, dir string, o pack.Options) memoryModel {
	t.Helper()
	in, err := pack.OpenDir(seeded.Directory(t, filepath.Join(dir, "model")))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out := memoryModel{}
	if _, err := pack.Pack(t.Context(), in, out, o); err != nil {
		t.Fatal(err)
	}
	return out
}

// draw is a model's picture, at its own defaults.
func (m memoryModel) draw(ctx context.Context) (*image.NRGBA, error) {
	opened, err := loader.Open(ctx, m, nil, loader.Options{Retry: loader.Retry{Attempts: 1}})
	if err != nil {
		return nil, err
	}
	p, err := diffusion.New(ctx, cpu.New(), opened, nil)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	r := p.Defaults()
	r.Prompt, r.Steps = "a fox", 1
	result, err := p.Generate(ctx, r, nil)
	if err != nil {
		return nil, err
	}
	return result.Images[0], nil
}

// TestFlippedBits: of a thousand flips of a bit, half of them in the manifest,
// none draws another picture without a word.
func TestFlippedBits(t *testing.T) {
	model := packedModel(t, plainPipeline, pack.Options{Name: "tiny", ChunkSize: 20_000})
	want, err := model.draw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := slices.SortedFunc(maps.Keys(model), func(a, b string) int { return cmp.Compare(a, b) })
	names = slices.DeleteFunc(names, func(n string) bool { return n == loader.ManifestName })
	rng := rand.New(rand.NewPCG(45, 45))
	refused, same := map[string]int{}, 0
	for i := range 1000 {
		name := loader.ManifestName
		if i%2 == 1 {
			name = names[rng.IntN(len(names))]
		}
		damaged := maps.Clone(model)
		damaged[name] = bytes.Clone(model[name])
		at, bit := rng.IntN(len(model[name])), rng.IntN(8)
		damaged[name][at] ^= 1 << bit
		got, err := damaged.draw(t.Context())
		switch {
		case errors.Is(err, loader.ErrCorrupt):
			refused["corrupt"]++
		case errors.Is(err, loader.ErrBadModel):
			refused["bad model"]++
		case err != nil:
			t.Errorf("bit %d of byte %d of %s: %v, which does not say that the model is damaged", bit, at, name, err)
		case !bytes.Equal(got.Pix, want.Pix):
			t.Errorf("bit %d of byte %d of %s: another picture, and nobody is told", bit, at, name)
		default:
			same++ // in a chunk that drawing does not need
		}
	}
	told := refused["corrupt"] + refused["bad model"]
	row.Row{Case: "bits flipped in a packed model", Tried: 1000, Held: told + same, Note: fmt.Sprintf("%d told, %d in what no picture needs", told, same)}.Print()
	t.Logf("of 1000 flipped bits %v were told, %d were in what a picture does not need", refused, same)
	if same > 300 {
		t.Errorf("%d flips left the picture as it was: they test nothing", same)
	}
}
