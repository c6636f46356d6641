// Command visitor loads a model as the page's engine does, from the request to
// weights in the memory of the SIMD backend, and reports how long it took. It
// takes its job from self.job and calls self.report.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hack-pad/safejs"

	"wisp/engine"
	"wisp/engine/simd"
	"wisp/loader"
)

func main() {
	var j struct{ Way, Model string }
	text, err := safejs.Global().Get("job")
	if err == nil {
		s, _ := text.String()
		err = json.Unmarshal([]byte(s), &j)
	}
	var r struct {
		Error           string
		Seconds, Decode float64
	}
	backend, simdErr := simd.New(simd.Options{Threads: 1})
	err = errors.Join(err, simdErr)
	if err == nil {
		err = waitForStart()
	}
	if err == nil {
		start := time.Now()
		err = load(context.Background(), backend, j.Way, j.Model)
		r.Seconds = time.Since(start).Seconds()
	}
	if err == nil && j.Way == "chunks" {
		r.Decode, err = decodeRate(context.Background(), j.Model)
	}
	if err != nil {
		r.Error = err.Error()
	}
	out, _ := json.Marshal(r)
	if _, err := safejs.Global().Call("report", string(out)); err != nil {
		panic(err)
	}
}

// waitForStart tells the worker that the code is running, and waits for it to
// say go.
func waitForStart() error {
	went := make(chan struct{})
	f, err := safejs.FuncOf(func(safejs.Value, []safejs.Value) any { close(went); return nil })
	if err != nil {
		return err
	}
	if _, err := safejs.Global().Call("ready", f); err != nil {
		return err
	}
	<-went
	return nil
}

// load is what wasm's create does, without a compilation.
func load(ctx context.Context, backend engine.Backend, way, model string) error {
	library, err := openLibrary(ctx, way)
	if err != nil {
		return err
	}
	o := loader.Options{Lock: loader.WebLock, Cache: library.Cache}
	source, err := loader.NewFetch(model, true)
	if err != nil {
		return err
	}
	m, err := loader.Open(ctx, source, library, o)
	if err != nil {
		return err
	}
	for component := range m.Manifest().Components {
		err := m.Stream(ctx, component, nil, func(_, dtype string, shape []int, fill func(io.WriterAt) error) error {
			d, err := engine.ParseDType(dtype)
			if err == nil {
				_, err = engine.Stream(backend, d, shape, fill)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// openLibrary opens what the page's engine does, in private files or not.
func openLibrary(ctx context.Context, way string) (*loader.Library, error) {
	if way == "files" {
		library, err := loader.OpenLibrary(ctx, loader.Brief)
		if err == nil && !isOPFS(library.Cache) {
			err = errors.New("this browser has no private files")
		}
		return library, err
	}
	db, err := loader.OpenIndexedDB(ctx, "wisp", loader.Long)
	if err != nil {
		return nil, err
	}
	library := loader.NewLibrary(db)
	if way == "blobs" {
		library.Cache = loader.NewBlobs(db)
	}
	return library, nil
}

func isOPFS(c loader.Cache) bool { _, ok := c.(*loader.OPFS); return ok }

// decodeRate is the MB/s of raw weights that one core decodes, hashing not
// included, which is the browser's.
func decodeRate(ctx context.Context, model string) (float64, error) {
	source, err := loader.NewFetch(model, true)
	if err != nil {
		return 0, err
	}
	m, err := loader.Open(ctx, source, nil, loader.Options{ManifestOnly: true})
	if err != nil {
		return 0, err
	}
	var buf, out []byte
	var bytes int64
	var took time.Duration
	for _, c := range m.Manifest().Chunks[:min(16, len(m.Manifest().Chunks))] {
		r, err := source.Open(ctx, c.File())
		if err != nil {
			return 0, err
		}
		stored, err := io.ReadAll(r)
		if err != nil {
			return 0, err
		}
		r.Close()
		out = make([]byte, c.Raw)
		start := time.Now()
		if buf, err = loader.DecodeChunk(c, stored, buf); err != nil {
			return 0, fmt.Errorf("chunk %s: %w", c.SHA256, err)
		}
		loader.Join(out, buf, 2)
		took += time.Since(start)
		bytes += c.Raw
	}
	return float64(bytes) / 1e6 / took.Seconds(), nil
}
