//go:build !js

package command

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/png"
	"path/filepath"

	"wisp/engine/diffusion"
	"wisp/loader/pack"
	"wisp/loader/safetensors"
	"wisp/loader/upscaler"
)

// upscale enlarges a picture by a network of the ESRGAN family.
func upscale(ctx context.Context, f *flag.FlagSet, args []string) error {
	model := f.String("model", "", "the upscaler's checkpoint: .safetensors, or a model.json of TensorFlow.js; without one, Lanczos's filter")
	in := f.String("in", "", "the picture to enlarge")
	out := f.String("out", "", "the PNG to write")
	by := f.Float64("by", 0, "the factor for width and height (default: the network's own; 2 without one)")
	name := f.String("backend", "simd", "simd or cpu")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if *in == "" || *out == "" {
		return errors.New("say what to enlarge with -in and where to with -out")
	}
	if *by != 0 && !(*by >= 1 && *by <= 16) {
		return fmt.Errorf("-by is %v: choose 1 to 16", *by)
	}
	if err := checkOut(*out); err != nil {
		return err
	}
	img, err := readPicture(*in)
	if err != nil {
		return err
	}
	var large *image.NRGBA
	if *model == "" {
		if *by == 0 {
			*by = 2
		}
		large, err = diffusion.Enlarge(img, *by)
	} else {
		large, err = upscaled(ctx, img, *model, *name, *by)
	}
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, large); err != nil {
		return err
	}
	if err := save(*out, b.Bytes()); err != nil {
		return err
	}
	fmt.Println(*out)
	return nil
}

// upscaled enlarges a picture by a checkpoint's network; by 0 is its own factor.
func upscaled(ctx context.Context, img *image.NRGBA, model, backend string, by float64) (*image.NRGBA, error) {
	f, err := openUpscaler(model)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := newBackend(backend)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	u, err := diffusion.NewUpscaler(ctx, b, f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", model, err)
	}
	defer u.Close()
	return u.Upscale(ctx, img, by, nil)
}

// openUpscaler opens a checkpoint on disk.
func openUpscaler(name string) (*upscaler.File, error) {
	dir, err := pack.OpenDir(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	f, err := upscaler.Open(filepath.Base(name), func(name string) (safetensors.Blob, error) { return dir.Open(name) })
	if err != nil {
		dir.Close()
	}
	return f, err
}
