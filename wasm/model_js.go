package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/hack-pad/safejs"

	"wisp/engine/diffusion"
	"wisp/loader"
	"wisp/wasm/bridge"
)

// storedScheme begins the address of a model that the library has and no
// server need have: the rest is its id.
const storedScheme = "stored:"

// parts is what a pipeline loads of a model: an image encoder stays behind.
func parts(m *loader.Manifest) (list []loader.Part, err error) {
	nets, err := diffusion.Nets(m)
	for _, n := range nets {
		list = append(list, loader.Part{Component: n.Component, Prefixes: n.Prefixes})
	}
	return list, err
}

// open fetches the manifest of the model that an address names or, where it is
// an array of File objects, of the model that they are.
func open(ctx context.Context, model safejs.Value, o loader.Options) (*loader.Model, error) {
	o.Choose, o.Lock = parts, loader.WebLock
	o.OpenMirror = func(url string) (loader.Source, error) { return loader.NewFetch(url, true) }
	library, err := loader.OpenLibrary(ctx, loader.Brief)
	var store loader.Store // nil where nothing can be kept
	if err == nil {
		store, o.Cache = library, library.Cache
	} else if o.OnWarning != nil {
		o.OnWarning(err)
	}
	source, err := newSource(model, store != nil, &o)
	if err != nil {
		return nil, err
	}
	return loader.Open(ctx, source, store, o)
}

// newSource is where the model's files come from.
func newSource(model safejs.Value, stored bool, o *loader.Options) (loader.Source, error) {
	if model.Type() == safejs.TypeObject {
		return newFiles(model)
	}
	address, err := model.String()
	if err != nil || model.Type() != safejs.TypeString {
		return nil, fmt.Errorf("%w: model is neither an address nor files", diffusion.ErrBadRequest)
	}
	if id, ok := strings.CutPrefix(address, storedScheme); ok {
		o.ManifestSHA256 = id
		return nowhere(address), nil
	}
	base, pin, err := loader.SplitAddress(address)
	if err != nil {
		return nil, err
	}
	o.ManifestSHA256 = pin
	return loader.NewFetch(base, stored)
}

// nowhere is the source of a model that must be in the library.
type nowhere string

func (n nowhere) Open(context.Context, string) (io.ReadCloser, error) {
	return nil, fmt.Errorf("this model is no longer kept here: %w", fs.ErrNotExist)
}

// files is a model that the visitor opened from disk: its files by name.
type files map[string]safejs.Value

func newFiles(list safejs.Value) (files, error) {
	n, err := list.Length()
	if err != nil {
		return nil, err
	}
	f := files{}
	for i := range n {
		file, err := list.Index(i)
		if err != nil {
			return nil, err
		}
		name, err := file.Get("name")
		if err != nil {
			return nil, err
		}
		text, err := name.String()
		if err != nil {
			return nil, err
		}
		f[text] = file
	}
	if _, ok := f[loader.ManifestName]; !ok {
		return nil, fmt.Errorf("%w: there is no %s among the files: drop all files of a model's folder", loader.ErrBadModel, loader.ManifestName)
	}
	return f, nil
}

// maxFile is the size of the largest file of a model, a manifest.
const maxFile = 32 << 20

// Open reads a file of the visitor's disk.
func (f files) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	file, ok := f[name]
	if !ok {
		return nil, fmt.Errorf("%s is not among the files: %w", name, fs.ErrNotExist)
	}
	if size, err := file.Get("size"); err != nil {
		return nil, err
	} else if n, err := size.Float(); err != nil || n > maxFile {
		return nil, fmt.Errorf("%w: %s is %.0f bytes long, more than any part of a model", loader.ErrBadModel, name, n)
	}
	promise, err := file.Call("arrayBuffer")
	if err != nil {
		return nil, err
	}
	buffer, err := bridge.Await(ctx, promise)
	if err != nil {
		return nil, err
	}
	array, err := bridge.Must(safejs.Global().Get("Uint8Array")).New(buffer)
	if err != nil {
		return nil, err
	}
	n, err := array.Length()
	if err != nil {
		return nil, err
	}
	data := make([]byte, n)
	if _, err := safejs.CopyBytesToGo(data, array); err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// capabilities tells, before any weights are downloaded, what would run.
func capabilities(ctx context.Context, args bridge.Arguments) (any, error) {
	result := bridge.Object{"runs": true, "backend": "", "threads": 1, "reason": "", "flopsPerSecond": 0.0}
	if b, err := newBackend(ctx, "auto", 0, false, nil); err != nil {
		result["runs"], result["reason"] = false, bridge.Failure(err, kinds)["message"]
	} else {
		result["backend"] = b.Name()
		if b.Name() == "simd" {
			result["threads"] = threadCount(0)
		}
		if result["flopsPerSecond"], err = rate(ctx, b); err != nil {
			b.Close()
			return nil, err
		}
		b.Close()
	}
	m, err := open(ctx, args.At(0), loader.Options{ManifestOnly: true})
	if err != nil {
		return nil, err
	}
	cached, total, err := m.Cached(ctx)
	if err != nil {
		return nil, err
	}
	result["cachedBytes"], result["downloadBytes"] = cached, total-cached
	result["peakBytes"] = m.Manifest().PeakBytes()
	if result["flops"], err = diffusion.FLOPs(m.Manifest()); err != nil {
		return nil, err
	}
	return map[string]any(result), nil
}

// models lists what this browser keeps, opened last first.
func models(ctx context.Context, _ bridge.Arguments) (any, error) {
	library, err := loader.OpenLibrary(ctx, loader.Long)
	if err != nil {
		return nil, err
	}
	entries, err := library.Models(ctx)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, e := range entries {
		list = append(list, map[string]any{
			"id": e.ID, "name": e.Name, "licence": e.Licence, "location": e.Location,
			"opened": e.Opened.UnixMilli(), "bytes": e.Bytes, "cachedBytes": e.Cached, "sharedBytes": e.Shared,
		})
	}
	return list, nil
}

// removeModel deletes a model from this browser: removeModel(id).
func removeModel(ctx context.Context, args bridge.Arguments) (any, error) {
	id, err := args.At(0).String()
	if err != nil {
		return nil, fmt.Errorf("%w: the model's id is not a string", diffusion.ErrBadRequest)
	}
	library, err := loader.OpenLibrary(ctx, loader.Long)
	if err != nil {
		return nil, err
	}
	return nil, library.Remove(ctx, id)
}
