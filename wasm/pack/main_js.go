// Command pack turns a model as diffusers saves it into one of the page's, in
// the visitor's browser: package pack between the visitor's files and the
// library. It runs in a worker of its own, which ends with the import, and
// defines one global, wispPack:
//
//	wispPack.inspect(files)                              → {name, pipeline, licence, ...}
//	wispPack.importModel({files, quantise, name}, onEvent) → the model's id
//	wispPack.cancel()                                    ends either
//	wispPack.preprocess({image, preprocess}), preprocessors()
//
// The last two make pictures for ControlNets, which few visitors have: they cost
// the engine's program nothing here.
//
// Files is an array of [path, Blob]; in place of it, {hub: "hf:owner/name@revision",
// endpoint, token} is a repository, which streams in. A promise is rejected with {code,
// message}. Start at importModel.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"

	"github.com/hack-pad/safejs"

	"wisp/engine/diffusion"
	"wisp/engine/preprocess"
	"wisp/loader"
	"wisp/loader/gguf"
	"wisp/loader/hub"
	"wisp/loader/pack"
	"wisp/loader/safetensors"
	"wisp/loader/single"
	"wisp/wasm/bridge"
)

// What the visitor's files may be instead of a model.
var (
	errNothing = errors.New("no model")
	errSeveral = errors.New("several models")
	errModel   = errors.New("bad model")
)

// kinds maps failures to the codes of WispError. What else can go wrong is
// wrong with the checkpoint: errModel.
var kinds = []bridge.Kind{
	{Err: context.Canceled, Code: "aborted"},
	{Err: loader.ErrQuota, Code: "quota", Lead: "the browser has no room for the model: free some disk space, or leave private browsing"},
	{Err: loader.ErrSilent, Code: "quota", Lead: "another tab of this site keeps the browser's storage busy: close it or look at it, and try again"},
	{Err: bridge.ErrBadRequest, Code: "bad-request"},
	{Err: preprocess.ErrName, Code: "bad-request"},
	{Err: diffusion.ErrBadRequest, Code: "bad-request"},
	{Err: hub.ErrGated, Code: "bad-model", Lead: "the repository is gated, private or not there: accept its terms on its page and give a token, or choose another model"},
	{Err: hub.ErrNetwork, Code: "network", Lead: "the hub cannot be reached: look at the connection, and try again; what has come is kept"},
	{Err: hub.ErrCorrupt, Code: "corrupt", Lead: "a file from the hub is not what the hub says that it is: try again"},
	{Err: loader.ErrBusy, Code: "bad-request"},
	{Err: errNothing, Code: "bad-request", Lead: "there is no model among the files: choose a folder that diffusers wrote, with model_index.json in it"},
	{Err: errSeveral, Code: "bad-request", Lead: "there are several models among the files: choose one"},
	{Err: bridge.ErrGone, Code: "bad-request", Lead: "a file changed or is gone: choose the model again"},
	{Err: single.ErrSeveral, Code: "bad-request", Lead: "there are several models among the files: choose one"},
	{Err: single.ErrMissing, Code: "bad-model", Lead: "a part of the model is missing: add the file that has it"},
	{Err: single.ErrUnknown, Code: "bad-model", Lead: "wisp does not know this kind of file"},
	{Err: safetensors.ErrPickle, Code: "bad-model", Lead: "pickled checkpoints (.ckpt, .pt, .bin) are programs, so wisp does not open them: choose the model's .safetensors files"},
	{Err: safetensors.ErrPointer, Code: "bad-model", Lead: "Git LFS left a pointer in a file's place: fetch the file with git lfs pull"},
	{Err: safetensors.ErrText, Code: "bad-model", Lead: "a web page or another text was saved in the file's place: download the file itself"},
	{Err: single.ErrPart, Code: "bad-model", Lead: "this file is no whole model"},
	{Err: diffusion.ErrBadModel, Code: "bad-model", Lead: "wisp cannot draw with this model"},
	{Err: fs.ErrNotExist, Code: "bad-model", Lead: "a file of the model is missing"},
	{Err: safetensors.ErrFormat, Code: "bad-model", Lead: "a file of the model is damaged"},
	{Err: gguf.ErrFormat, Code: "bad-model", Lead: "a file of the model is damaged"},
	{Err: errModel, Code: "bad-model"},
}

func main() {
	// Chunks come and go by the hundred: a heap that may double before it is
	// swept would hold dozens.
	debug.SetGCPercent(25)
	ctx, cancel := context.WithCancel(context.Background())
	stop := func(safejs.Value, []safejs.Value) any {
		cancel()
		return nil
	}
	program := map[string]any{
		"inspect":       bridge.Promising(ctx, kinds, inspect),
		"importModel":   bridge.Promising(ctx, kinds, importModel),
		"preprocess":    bridge.Promising(ctx, kinds, preprocessed),
		"preprocessors": bridge.Promising(ctx, kinds, preprocessors),
		"cancel":        bridge.Must(safejs.FuncOf(stop)),
	}
	if err := safejs.Global().Set("wispPack", program); err != nil {
		panic(err)
	}
	select {} // the functions live as long as the worker
}

// inspect tells what an import would make: inspect(files). Nothing but configs
// and headers is read.
func inspect(ctx context.Context, args bridge.Arguments) (any, error) {
	in, name, err := inspected(ctx, args.At(0))
	if err != nil {
		return nil, err
	}
	o := pack.Options{Name: name}
	if s, ok := in.(*hub.Stream); ok {
		o.Licence = s.Licence
	}
	plan, err := makePlan(in, o)
	if err != nil {
		return nil, err
	}
	sizes := map[string]any{}
	for quant, size := range plan.Packed {
		sizes[quant] = size
	}
	m := plan.Manifest
	flops, err := diffusion.FLOPs(m)
	if err != nil {
		return nil, err
	}
	notes := []any{}
	for _, note := range plan.Notes {
		notes = append(notes, note)
	}
	return map[string]any{
		"notes": notes,
		"name":  m.Name, "pipeline": m.Pipeline, "licence": m.Licence,
		"inputBytes": plan.Input, "packedBytes": sizes, "peakBytes": m.PeakBytes(), "flops": flops,
	}, nil
}

// inspected is what inspect looks at: files, or a repository.
func inspected(ctx context.Context, v safejs.Value) (pack.Input, string, error) {
	if r, ok, err := readRepository(v); ok || err != nil {
		if err != nil {
			return nil, "", err
		}
		return r.open(ctx)
	}
	return newInput(ctx, v)
}

// importModel packs a model into the library and returns its id:
// importModel({files, quantise, name}, onEvent). It leaves nothing behind
// where it fails.
func importModel(ctx context.Context, args bridge.Arguments) (any, error) {
	var o pack.Options
	f := bridge.Fields{Object: args.At(0)}
	f.Text("quantise", &o.Quant)
	f.Text("name", &o.Name)
	files, _ := f.Get("files")
	if f.Err != nil {
		return nil, f.Err
	}
	o.Quant = cmp.Or(o.Quant, "f16")
	if r, ok, err := readRepository(args.At(0)); ok || err != nil {
		if err != nil {
			return nil, err
		}
		return importHub(ctx, r, o, args.Callback(1))
	}
	in, name, err := newInput(ctx, files)
	if err != nil {
		return nil, err
	}
	o.Name = cmp.Or(o.Name, name)
	plan, err := makePlan(in, o)
	if err != nil {
		return nil, err
	}
	tell := args.Callback(1)
	o.OnProgress = func(done int64) {
		tell(bridge.Object{"stage": "pack", "loaded": done, "total": plan.Input})
	}
	if err := checkRoom(ctx, plan.Packed[cmp.Or(o.Quant, "f16")]); err != nil {
		return nil, err
	}
	o.Needs = components
	return write(ctx, in, o)
}

// components are those that the engine reads of a pipeline.
func components(m *loader.Manifest) ([]string, error) { return diffusion.Components(m) }

// makePlan plans a pack of a model that the engine can draw with.
func makePlan(in pack.Input, o pack.Options) (*pack.Plan, error) {
	o.Needs = components
	if err := pack.CheckQuant(o.Quant); err != nil {
		return nil, fmt.Errorf("%w: %w", bridge.ErrBadRequest, err)
	}
	plan, err := pack.NewPlan(in, o)
	if err != nil {
		return nil, wrong(err)
	}
	shapes, err := pack.Shapes(plan.Manifest)
	if err != nil {
		return nil, wrong(err)
	}
	if err := diffusion.Check(plan, shapes); err != nil {
		return nil, fmt.Errorf("%s: %w", plan.Manifest.Pipeline, err)
	}
	return plan, nil
}

// checkRoom fails where a model of so many bytes before compression will not
// fit: compression saves a fifth at most.
func checkRoom(ctx context.Context, size int64) error {
	s, err := loader.BrowserStorage(ctx)
	if free := s.Quota - s.Usage; err == nil && size*4/5 > free {
		return fmt.Errorf("%w: it takes up to %d MB, %d MB are free", loader.ErrQuota, size/1e6, free/1e6)
	}
	return ctx.Err()
}

// write packs into the library.
func write(ctx context.Context, in pack.Input, o pack.Options) (any, error) {
	library, err := loader.OpenLibrary(ctx, loader.Long)
	if err != nil {
		return nil, err
	}
	library.KeepModels = true
	draft, err := library.Draft(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := pack.Pack(ctx, in, draft, o); err != nil {
		return nil, errors.Join(wrong(err), draft.Discard(context.WithoutCancel(ctx)))
	}
	return draft.ID(), nil
}

// wrong gives a failure of package pack its kind.
func wrong(err error) error {
	for _, k := range kinds {
		if errors.Is(err, k.Err) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", errModel, err)
}
