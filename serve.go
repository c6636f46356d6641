//go:build !js

// Command wisp serves and builds the web page, packs models for it, and draws
// pictures with the same engine on the command line:
//
//	go run . serve                           the page on http://localhost:8080
//	go run . build -out dist                 the page for any static host
//	go run . pack -in DIR -out DIR           a model from a diffusers directory
//	go run . verify DIR                      every chunk of a model against its hash
//	go run . generate -prompt "red heart"    a picture
//	go run . tune -model DIR -steps 4        the timesteps that suit a model best
//	go run . upscale -model FILE -in PNG -out PNG    a larger one
//
// Each verb reads its flags and calls one package.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"io"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/diffusion"
	"wisp/engine/simd"
	"wisp/loader"
	"wisp/loader/hub"
	"wisp/loader/pack"
	"wisp/loader/safetensors"
	"wisp/loader/single"
	"wisp/site"
)

// verbs are the commands, in the order of the help.
var verbs = []struct {
	name, summary string
	run           func(ctx context.Context, f *flag.FlagSet, args []string) error
}{
	{"serve", "serve the page and its default model", serve},
	{"build", "write the page for any static host", build},
	{"pack", "turn a diffusers directory into a model for the page", packModel},
	{"verify", "check every chunk of a model, and that the engine can draw with it", verify},
	{"generate", "draw a picture without a browser", generate},
	{"tune", "find the timesteps that suit a model best", tune},
	{"upscale", "enlarge a picture by an upscaler's network", upscale},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // what does not end for the first signal does for the second
	os.Exit(run(ctx, os.Args[1:]))
}

// run runs the verb that args begin with and returns the exit status: 1 for a
// failure, 2 for a wrong call, 130, as shells have it, for an interruption.
func run(ctx context.Context, args []string) int {
	for _, v := range verbs {
		if len(args) == 0 || v.name != args[0] {
			continue
		}
		err := v.run(ctx, flag.NewFlagSet("wisp "+v.name, flag.ExitOnError), args[1:])
		switch {
		case errors.Is(err, context.Canceled):
			fmt.Fprintf(os.Stderr, "wisp %s: interrupted\n", v.name)
			return 130
		case err != nil:
			fmt.Fprintf(os.Stderr, "wisp %s: %v\n", v.name, err)
			return 1
		}
		return 0
	}
	fmt.Fprintln(os.Stderr, "usage: go run . <command> [flags]")
	for _, v := range verbs {
		fmt.Fprintf(os.Stderr, "  %-9s %s\n", v.name, v.summary)
	}
	return 2
}

// parse reads the flags, after which so many arguments may follow.
func parse(f *flag.FlagSet, args []string, most int) error {
	f.Parse(args) // ends the program where it fails
	if f.NArg() > most {
		return fmt.Errorf("unexpected argument %q: put a value of several words in quotes", f.Arg(most))
	}
	return nil
}

// checkout compiles the engine of the checkout around the working directory
// and returns its files and its models.
func checkout(ctx context.Context) (page, models fs.FS, err error) {
	root, err := site.Root()
	if err != nil {
		return nil, nil, err
	}
	built := filepath.Join(root, "build", "site")
	fmt.Fprintln(os.Stderr, "wisp: compiling the engine and the importer; the first time takes a minute or two")
	if err := site.Compile(ctx, root, built); err != nil {
		return nil, nil, err
	}
	dir := filepath.Join(root, "site", "models")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, err
	}
	m, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	return site.Layers{site.Files(), os.DirFS(built)}, m.FS(), nil
}

// serve listens until it is interrupted and then lets answers finish.
func serve(ctx context.Context, f *flag.FlagSet, args []string) error {
	addr := f.String("addr", ":8080", "listen address")
	dir := f.String("dir", "", "serve this directory, made by build, instead of the checkout")
	model := f.String("model", "", "a model directory to serve as the default model")
	cert := f.String("cert", "", "certificate (PEM): HTTPS and HTTP/2")
	key := f.String("key", "", "the certificate's private key (PEM)")
	hubToo := f.Bool("hub", true, "let pages fetch models that a visitor asks for from the Hugging Face hub")
	log := f.String("log", "", "append a line for each answer to this file; - is the terminal")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if !*hubToo {
		site.WithoutHub()
	}
	files, err := pageFiles(ctx, *dir, *model)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	o := site.ServeOptions{Cert: *cert, Key: *key}
	switch *log {
	case "":
	case "-":
		o.Log = os.Stdout
	default:
		file, err := os.OpenFile(*log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		defer file.Close()
		o.Log = file
	}
	scheme := "http"
	if *cert != "" {
		scheme = "https"
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	fmt.Printf("wisp: %s://localhost:%s/ (ctrl-C stops it)\n", scheme, port)
	return site.Serve(ctx, listener, site.Handler(files), o)
}

// pageFiles is what serve hands out.
func pageFiles(ctx context.Context, dir, model string) (fs.FS, error) {
	layers := site.Layers{}
	if model != "" {
		m, err := os.OpenRoot(model)
		if err != nil {
			return nil, err
		}
		layers = append(layers, site.Under("models/default", m.FS()))
	}
	if dir != "" {
		d, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		return append(layers, d.FS()), nil
	}
	page, models, err := checkout(ctx)
	if err != nil {
		return nil, err
	}
	if page, err = site.Assemble(page); err != nil {
		return nil, err
	}
	return append(layers, page, site.Under("models", models)), nil
}

func build(ctx context.Context, f *flag.FlagSet, args []string) error {
	o := site.BuildOptions{Log: os.Stdout}
	f.StringVar(&o.Out, "out", "dist", "directory to write")
	f.IntVar(&o.Brotli, "brotli", 11, "level of the .br twins, 0 to 11; 9 makes the engine an eighth larger and saves half a minute")
	hubToo := f.Bool("hub", true, "name the hosts of the Hugging Face hub in the pages' policy")
	npm := f.String("npm", "", "a directory for the npm package")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	if !*hubToo {
		site.WithoutHub()
	}
	page, models, err := checkout(ctx)
	if err != nil {
		return err
	}
	if err := site.Build(page, models, o); err != nil || *npm == "" {
		return err
	}
	return site.Package(page, models, *npm)
}

func packModel(ctx context.Context, f *flag.FlagSet, args []string) error {
	o := pack.Options{Progress: os.Stdout, Needs: components}
	f.StringVar(&o.In, "in", "", "a pipeline or component directory, as diffusers and transformers save it, a single-file checkpoint (.safetensors, .gguf), hf:owner/name[@revision], or hf:owner/name/FILE[@revision] for one checkpoint of a repository")
	config := f.String("config", "", "for a single file: a pipeline of the same kind, directory or hf:owner/name, for other configs and tokenizers than the usual ones, and for the networks that the file lacks")
	var with []string
	f.Func("with", "for a single file: another with a network that it lacks (VAE, text encoder) or that is to take the place of its own, or with T5's vocabulary; may be given more than once", func(name string) error {
		with = append(with, name)
		return nil
	})
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
	_, _, oneOfHub := hub.File(o.In)
	if info, statErr := os.Stat(o.In); oneOfHub || *config != "" || len(with) > 0 || statErr == nil && !info.IsDir() && !safetensors.Pickled(o.In) {
		o.From, err = singleFile(ctx, append([]string{o.In}, with...), *config, hub.Options{Spool: o.Out, Log: log})
	} else if strings.HasPrefix(o.In, hub.Scheme) {
		o.From, err = hub.Open(ctx, o.In, hub.Options{Spool: o.Out, Log: log})
	}
	if err != nil {
		return err
	}
	o.OnPlan = func(plan *pack.Plan) error {
		if bar != nil {
			bar.Total = plan.Input
		}
		if err := drawable(plan, plan.Manifest); err != nil {
			return err
		}
		if shapes, err := pack.Shapes(plan.Manifest); err == nil {
			for _, name := range diffusion.Unread(plan, shapes) {
				fmt.Fprintln(log, "nothing reads the tensor "+name)
			}
		}
		return nil
	}
	return pack.Run(ctx, o)
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

// onTerminal reports whether somebody watches what is written to f.
func onTerminal(f *os.File) bool {
	s, err := f.Stat()
	return err == nil && s.Mode()&os.ModeCharDevice != 0
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

// generate draws with the page's own engine; SIMD runs under wazero here.
func generate(ctx context.Context, f *flag.FlagSet, args []string) error {
	model := f.String("model", "site/models/default", "model directory")
	name := f.String("backend", "simd", "simd or cpu")
	memory := f.String("memory", "", "the most that weights may take, such as 2GB: a network that is larger runs by stages, read from the model's directory at every step")
	out := f.String("out", "wisp.png", "picture to write; of several, the number comes before the extension")
	var loras []loraFlag
	f.Func("lora", "a LoRA's file, or FILE:WEIGHT; may be given more than once, and named in the prompt as <lora:NAME:WEIGHT>", func(text string) error {
		l, err := parseLora(text)
		loras = append(loras, l)
		return err
	})
	var controls []string
	f.Func("control", "MODEL:IMAGE[:WEIGHT[:START:END]], a ControlNet's file or directory and the picture by which it steers; may be given more than once", func(text string) error {
		controls = append(controls, text)
		return nil
	})
	var embeddings []string
	f.Func("embedding", "a file of textual inversion: its name, or the one inside, is a word of the prompt; may be given more than once", func(name string) error {
		embeddings = append(embeddings, name)
		_, err := os.Stat(name)
		return err
	})
	var references referenceFlags
	f.StringVar(&references.adapter, "ip-adapter", "", "an IP-Adapter's .safetensors file, which reads the pictures of -reference")
	f.StringVar(&references.encoder, "image-encoder", "", "folder of its CLIP image encoder; by default image_encoder beside its file")
	f.Func("reference", "a picture to be read beside the words; may be given more than once", func(text string) error {
		references.pictures = append(references.pictures, text)
		return nil
	})
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
	if (given.Image != nil || len(references.pictures) > 0 && p.Fields().References) && given.Width == 0 && given.Height == 0 {
		r.Width, r.Height = 0, 0 // the picture's
	}
	if err := addEmbeddings(p, embeddings); err != nil {
		return err
	}
	if r.Loras, err = addLoras(ctx, p, loras); err != nil {
		return err
	}
	var closeControls func()
	if r.Controls, closeControls, err = addControls(p, controls); err != nil {
		return err
	}
	defer closeControls()
	var closeReferences func()
	if r.References, closeReferences, err = references.add(ctx, p); err != nil {
		return err
	}
	defer closeReferences()
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
