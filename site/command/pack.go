//go:build !js

package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"wisp/engine/diffusion"
	"wisp/loader"
	"wisp/loader/hub"
	"wisp/loader/pack"
	"wisp/loader/safetensors"
	"wisp/loader/single"
)

func packModel(ctx context.Context, f *flag.FlagSet, args []string) error {
	o := pack.Options{Progress: os.Stdout, Needs: components}
	f.StringVar(&o.In, "in", "", "a pipeline or component directory, as diffusers and transformers save it, a single-file checkpoint (.safetensors, .gguf), hf:owner/name[@revision], or hf:owner/name/FILE[@revision] for one checkpoint of a repository")
	config := f.String("config", "", "for a single file: a pipeline of the same kind, directory or hf:owner/name, for other configs and tokenizers than the usual ones, and for the networks that the file lacks")
	var with []string
	f.Func("with", "for a single file: another with a network that it lacks (VAE, text encoder) or that is to take the place of its own, or with T5's vocabulary; may be given more than once", func(name string) error {
		with = append(with, name)
		return nil
	})
	var loras merged
	f.Func("lora", "a LoRA's file, or FILE:WEIGHT, to be merged into the weights; may be given more than once", loras.add)
	f.StringVar(&o.Out, "out", "", "the model directory to write")
	f.StringVar(&o.Quant, "quant", "f16", "how weights are stored: f32 (as they are), f16, q8, q4, ternary (the denoiser's layers in 2 bits, the rest in q4), or auto (layer by layer, as -size allows)")
	size := f.String("size", "", "for -quant auto: the size to fill, such as 1.2GB")
	f.StringVar(&o.Name, "name", "", "the model's name (default: from wisp.json, else its directory)")
	f.StringVar(&o.Licence, "licence", "", "the model's licence (default: from its card)")
	f.BoolVar(&o.PerTensor, "tensors", false, "report the quantisation error of every tensor, not only the worst of each component")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if o.In == "" || o.Out == "" {
		return errors.New("say what to pack with -in and where to with -out")
	}
	var err error
	if *size != "" {
		if o.Size, err = bytesOf("size", *size); err != nil {
			return err
		}
	}
	var bar *pack.Bar
	log := io.Writer(os.Stdout)
	if onTerminal(os.Stdout) {
		bar = pack.NewBar(os.Stdout)
		defer bar.Close()
		o.Progress, o.OnProgress, log = bar, bar.Set, bar
	}
	if o.From, err = input(ctx, o.In, with, *config, hub.Options{Spool: o.Out, Log: log}); err != nil {
		return err
	}
	if len(loras.flags) > 0 {
		o.Change = loras.change
		if o.Changes, err = loras.digest(); err != nil {
			return err
		}
	}
	o.OnPlan = func(plan *pack.Plan) error {
		if bar != nil {
			bar.Total = plan.Input
		}
		return planned(plan, &loras, log)
	}
	return pack.Run(ctx, o)
}

// planned refuses what the engine does not draw, and tells what nothing reads.
func planned(plan *pack.Plan, loras *merged, log io.Writer) error {
	if err := drawable(plan, plan.Manifest); err != nil {
		return err
	}
	if err := loras.read(plan, log); err != nil {
		return err
	}
	if shapes, err := pack.Shapes(plan.Manifest); err == nil {
		for _, name := range diffusion.Unread(plan, shapes) {
			fmt.Fprintln(log, "nothing reads the tensor "+name)
		}
	}
	return nil
}

// input opens what is no directory on this machine; nil for such a directory.
func input(ctx context.Context, in string, with []string, config string, o hub.Options) (pack.Input, error) {
	_, _, oneOfHub := hub.File(in)
	if info, err := os.Stat(in); oneOfHub || config != "" || len(with) > 0 || err == nil && !info.IsDir() && !safetensors.Pickled(in) {
		return singleFile(ctx, append([]string{in}, with...), config, o)
	}
	if strings.HasPrefix(in, hub.Scheme) {
		return hub.Open(ctx, in, o)
	}
	return nil, nil
}

// bytesOf reads a size: "1.2GB", "800 MB", "512MiB", or a number of bytes.
func bytesOf(flag, text string) (int64, error) {
	number := strings.TrimRight(text, "BGKMTbgikmt ")
	unit := strings.ToUpper(strings.TrimSpace(text[len(number):]))
	v, err := strconv.ParseFloat(number, 64)
	factor, known := map[string]float64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}[unit]
	if err != nil || !known || v*factor < 1 || v*factor > 1<<50 {
		return 0, fmt.Errorf("-%s %q is no size such as 1.2GB", flag, text)
	}
	return int64(v * factor), nil
}

// components are those that the engine reads of a pipeline.
func components(m *loader.Manifest) ([]string, error) { return diffusion.Components(m) }

// drawable fails where the engine cannot draw with a pipeline. A component by
// itself draws nothing; it is a part for another.
func drawable(m diffusion.Model, man *loader.Manifest) error {
	shapes, err := pack.Shapes(man)
	if err != nil || man.Pipeline == "" {
		return err
	}
	if err := diffusion.Check(m, shapes); err != nil {
		return fmt.Errorf("%s: %w", man.Pipeline, err)
	}
	return nil
}

// singleFile is a pipeline of checkpoints without configs. Its files stay open
// for as long as the command runs.
func singleFile(ctx context.Context, names []string, config string, o hub.Options) (in pack.Input, err error) {
	var files []single.File
	for _, name := range names {
		var from single.Configs
		base := filepath.Base(name)
		if repository, path, ok := hub.File(name); ok {
			base = path
			from, err = hub.Open(ctx, repository, o)
		} else {
			from, err = pack.OpenDir(filepath.Dir(name))
		}
		if err != nil {
			return nil, err
		}
		if !single.Wanted(base) {
			return nil, fmt.Errorf("%s is neither a .safetensors or .gguf file nor a tokenizer's", name)
		}
		open := func() (safetensors.Blob, error) { return from.Open(base) }
		files = append(files, single.File{Name: filepath.Base(base), Open: open})
	}
	var configs single.Configs
	switch {
	case strings.HasPrefix(config, hub.Scheme):
		configs, err = hub.Open(ctx, config, o)
	case config != "":
		configs, err = pack.OpenDir(config)
	}
	if err != nil {
		return nil, err
	}
	return single.Open(files, configs)
}

func verify(ctx context.Context, f *flag.FlagSet, args []string) error {
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return errors.New("name one model directory")
	}
	if err := pack.Verify(ctx, f.Arg(0), os.Stdout); err != nil {
		return err
	}
	m, err := loader.Open(ctx, loader.Dir(f.Arg(0)), nil, loader.Options{})
	if err != nil {
		return err
	}
	return drawable(m, m.Manifest())
}
