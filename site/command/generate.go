//go:build !js

package command

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"reflect"
	"strconv"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/diffusion"
	"wisp/engine/simd"
	"wisp/loader"
)

// generate draws with the page's own engine; SIMD runs under wazero here.
func generate(ctx context.Context, f *flag.FlagSet, args []string) error {
	model := f.String("model", "site/models/default", "model directory")
	name := f.String("backend", "simd", "simd or cpu")
	memory := f.String("memory", "", "the most that weights may take, such as 2GB: a network that is larger runs by stages, read from the model's directory at every step")
	out := f.String("out", "wisp.png", "picture to write; of several, the number comes before the extension")
	var with additions
	with.flags(f)
	// The model's defaults stand for the flags that are not given.
	var given diffusion.Request
	for _, field := range diffusion.RequestFields {
		if field.Flag != "" {
			f.Var(&setting{to: field.In(&given)}, field.Flag, field.Help)
		}
	}
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if err := checkOut(*out); err != nil {
		return err
	}
	var room int64
	if *memory != "" {
		var err error
		if room, err = bytesOf("memory", *memory); err != nil {
			return err
		}
	}
	p, closeAll, err := openPipeline(ctx, *model, *name, room)
	if err != nil {
		return err
	}
	defer closeAll()
	r := p.Defaults()
	f.Visit(func(g *flag.Flag) {
		for _, field := range diffusion.RequestFields {
			if field.Flag == g.Name {
				reflect.ValueOf(field.In(&r)).Elem().Set(reflect.ValueOf(field.In(&given)).Elem())
			}
		}
	})
	if (given.Image != nil || len(with.references.pictures) > 0 && p.Fields().References) && given.Width == 0 && given.Height == 0 {
		r.Width, r.Height = 0, 0 // the picture's
	}
	closeThem, err := with.add(ctx, p, &r)
	if err != nil {
		return err
	}
	defer closeThem()
	result, err := p.Generate(ctx, r, nil)
	if err != nil {
		return err
	}
	for _, notice := range result.Notices {
		fmt.Fprintln(os.Stderr, "wisp generate: "+notice)
	}
	if result.Truncated {
		fmt.Fprintln(os.Stderr, "wisp generate: the prompt is longer than the model can read; its end was left out")
	}
	return writePictures(*out, result)
}

// additions are the files that flags add to a model for one run.
type additions struct {
	loras      []loraFlag
	controls   []string
	embeddings []string
	references referenceFlags
}

// flags names those that may be given more than once, and what goes with them.
func (a *additions) flags(f *flag.FlagSet) {
	f.Func("lora", "a LoRA's file, or FILE:WEIGHT; may be given more than once, and named in the prompt as <lora:NAME:WEIGHT>", func(text string) error {
		l, err := parseLora(text)
		a.loras = append(a.loras, l)
		return err
	})
	f.Func("control", "MODEL:IMAGE[:WEIGHT[:START:END[:MODE]]], a ControlNet or T2I-Adapter's file or directory and the picture by which it steers; may be given more than once", func(text string) error {
		a.controls = append(a.controls, text)
		return nil
	})
	f.Func("embedding", "a file of textual inversion: its name, or the one inside, is a word of the prompt; may be given more than once", func(name string) error {
		a.embeddings = append(a.embeddings, name)
		_, err := os.Stat(name)
		return err
	})
	f.StringVar(&a.references.adapter, "ip-adapter", "", "an IP-Adapter's .safetensors file, which reads the pictures of -reference")
	f.StringVar(&a.references.encoder, "image-encoder", "", "folder of its CLIP image encoder; by default image_encoder beside its file")
	f.Func("reference", "a picture to be read beside the words; may be given more than once", func(text string) error {
		a.references.pictures = append(a.references.pictures, text)
		return nil
	})
}

// add adds them to the pipeline and to the request. The caller calls closeAll
// when the pictures are drawn.
func (a *additions) add(ctx context.Context, p *diffusion.Pipeline, r *diffusion.Request) (closeAll func(), err error) {
	if err := addEmbeddings(p, a.embeddings); err != nil {
		return nil, err
	}
	if r.Loras, err = addLoras(ctx, p, a.loras); err != nil {
		return nil, err
	}
	var closeControls, closeReferences func()
	if r.Controls, closeControls, err = addControls(p, a.controls); err != nil {
		return nil, err
	}
	if r.References, closeReferences, err = a.references.add(ctx, p); err != nil {
		closeControls()
		return nil, err
	}
	return func() { closeReferences(); closeControls() }, nil
}

// newBackend is that of a command's -backend.
func newBackend(name string) (engine.Backend, error) {
	switch name {
	case "cpu":
		return cpu.New(), nil
	case "simd":
		return simd.New(simd.Options{})
	}
	return nil, fmt.Errorf("backend %q is not one of simd, cpu", name)
}

// openPipeline loads a model directory onto a backend, where weights may take so
// many bytes; 0 is what the machine has, for all of them at once.
func openPipeline(ctx context.Context, dir, backend string, room int64) (p *diffusion.Pipeline, closeAll func(), err error) {
	b, err := newBackend(backend)
	if err != nil {
		return nil, nil, err
	}
	m, err := loader.Open(ctx, loader.Dir(dir), nil, loader.Options{Choose: parts})
	var options []diffusion.Option
	if room > 0 {
		options = append(options, diffusion.Memory(room))
	} else if err == nil {
		err = m.Fit(memoryOf(backend), false)
	}
	if err == nil {
		if p, err = diffusion.New(ctx, b, m, nil, options...); err == nil {
			return p, func() { p.Close(); b.Close() }, nil
		}
	}
	b.Close()
	return nil, nil, err
}

// parts is what a pipeline loads of a model.
func parts(m *loader.Manifest) (list []loader.Part, err error) {
	nets, err := diffusion.Nets(m)
	for _, n := range nets {
		list = append(list, loader.Part{Component: n.Component, Prefixes: n.Prefixes})
	}
	return list, err
}

// memoryOf is how much a backend has for weights; 0 where that is unknown. The
// kernels' own memory, as all of WebAssembly's, ends at 4 GiB.
func memoryOf(backend string) int64 {
	free := loader.FreeMemory()
	if backend == "simd" && (free == 0 || free > 4<<30) {
		return 4 << 30
	}
	return free
}

// setting is a flag that sets one field of a request.
type setting struct {
	to   any
	text string
}

func (s *setting) String() string { return s.text }

// IsBoolFlag tells package flag that the name alone means true.
func (s *setting) IsBoolFlag() bool { _, ok := s.to.(*bool); return ok }

// Set parses the flag's value.
func (s *setting) Set(text string) (err error) {
	s.text = text
	switch to := s.to.(type) {
	case *string:
		*to = text
	case **image.NRGBA:
		*to, err = readPicture(text)
	case *bool:
		*to, err = strconv.ParseBool(text)
	case *int:
		*to, err = strconv.Atoi(text)
	case *uint64:
		*to, err = strconv.ParseUint(text, 10, 64)
	case *float32:
		var v float64
		v, err = strconv.ParseFloat(text, 32)
		*to = float32(v)
	case **float32:
		*to = new(float32)
		return (&setting{to: *to}).Set(text)
	}
	return err
}

// checkOut finds out before anything is drawn whether a picture may be written.
func checkOut(name string) error {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return fmt.Errorf("-out: %s is a directory: name a file", name)
	}
	if info, err := os.Stat(filepath.Dir(name)); err != nil || !info.IsDir() {
		return fmt.Errorf("-out: there is no directory %s", filepath.Dir(name))
	}
	return nil
}

func writePictures(out string, result *diffusion.Result) error {
	for i, img := range result.Images {
		name := out
		if len(result.Images) > 1 {
			ext := filepath.Ext(out)
			name = fmt.Sprintf("%s-%d%s", out[:len(out)-len(ext)], i+1, ext)
		}
		var b bytes.Buffer
		if err := diffusion.EncodePNG(&b, img, result.Parameters[i]); err != nil {
			return err
		}
		if err := save(name, b.Bytes()); err != nil {
			return err
		}
		fmt.Println(name)
	}
	return nil
}

// save writes a file whole or not at all; where name is a pipe or a terminal,
// to that.
func save(name string, data []byte) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(name, data, 0o644)
	}
	part := name + ".part"
	if err := os.WriteFile(part, data, 0o644); err != nil {
		os.Remove(part)
		return err
	}
	return os.Rename(part, name)
}
