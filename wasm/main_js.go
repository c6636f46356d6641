// Command wasm is the engine as the page's worker sees it: it defines one
// global, wispEngine, whose functions return promises. It translates between
// JavaScript values and the Go packages and knows nothing of the page.
//
//	wispEngine.capabilities(model)                 → {runs, backend, threads, reason, ...}
//	wispEngine.create({model, backend, threads, profile, memory}, onEvent) → generator
//	wispEngine.upscale({image, by, files, backend}, onEvent) → {width, height, data}
//	wispEngine.models(), removeModel(id)           what this browser keeps
//	generator.defaults, generator.samplers         what the model recommends and offers
//	generator.generate(request, onEvent)           → {images, seed, timings, ...}
//	generator.addLora({id, name, file})            → {id, name, networks, unknown}
//	generator.removeLora(id)
//	generator.addControl({id, name, file, config}) → {id, name, kind}
//	generator.removeControl(id)
//	generator.countTokens({prompt, promptSyntax})  → {tokens, limit}
//	generator.complete()                           keeps what it may need of the model later
//	generator.cancel()                             ends the generate under way
//
// A model is the address of its directory, "stored:" and the id of one that is
// kept, or an array of File objects. A promise is rejected with {code, message}. site/module/worker.js carries these
// calls over postMessage; start there or at create.
package main

import (
	"context"

	"github.com/hack-pad/safejs"

	"wisp/engine"
	"wisp/engine/diffusion"
	"wisp/loader"
	"wisp/loader/adapter"
	"wisp/loader/safetensors"
	"wisp/loader/upscaler"
	"wisp/wasm/bridge"
)

func main() {
	engine := map[string]any{
		"capabilities": promising(capabilities),
		"create":       promising(create),
		"models":       promising(models),
		"upscale":      promising(upscale),
		"removeModel":  promising(removeModel),
	}
	if err := safejs.Global().Set("wispEngine", engine); err != nil {
		panic(err)
	}
	select {} // the functions live as long as the worker
}

// promising is f as the worker calls it.
func promising(f func(context.Context, bridge.Arguments) (any, error)) safejs.Func {
	return bridge.Promising(context.Background(), kinds, f)
}

// kinds maps failures to the codes of WispError.
var kinds = []bridge.Kind{
	{Err: context.Canceled, Code: "aborted", Lead: "the request was cancelled", Whole: true},
	{Err: engine.ErrDeviceLost, Code: "device-lost", Lead: "the graphics card was lost: try again"},
	{Err: engine.ErrOutOfMemory, Code: "out-of-memory", Lead: "there is not enough memory: close other tabs or choose a smaller picture, and try again"},
	{Err: loader.ErrMemory, Code: "out-of-memory", Lead: "this model is too large for this device: choose a smaller one, or one packed in 8 or 4 bits"},
	{Err: errNoCard, Code: "unsupported", Lead: "the graphics card cannot be used here: let the processor draw"},
	{Err: engine.ErrUnsupported, Code: "unsupported", Lead: "this browser cannot run the engine: use a current Chrome, Edge, Firefox or Safari"},
	{Err: loader.ErrAbsent, Code: "network", Lead: "the server does not have this model, or a part of it: check its address"},
	{Err: loader.ErrAnswer, Code: "network", Lead: "the model's server answers with an error: try again later"},
	{Err: loader.ErrForeign, Code: "network", Lead: "the model could not be downloaded from another site: check the connection, the address, and that the site allows this one with Access-Control-Allow-Origin"},
	{Err: loader.ErrNetwork, Code: "network", Lead: "the model could not be downloaded: check the connection and try again"},
	{Err: loader.ErrCorrupt, Code: "corrupt", Lead: "a part of the model arrived damaged, more than once: try again, and if it stays, the copy on the server is damaged"},
	{Err: loader.ErrQuota, Code: "quota", Lead: "the browser has no room for the model: free some disk space, or leave private browsing"},
	{Err: loader.ErrSilent, Code: "quota", Lead: "another tab of this site keeps the browser's storage busy: close it or look at it, and try again"},
	{Err: loader.ErrBadModel, Code: "bad-model"},
	{Err: diffusion.ErrBadModel, Code: "bad-model"},
	{Err: bridge.ErrGone, Code: "bad-request", Lead: "a file changed or is gone: choose it again"},
	{Err: safetensors.ErrPickle, Code: "bad-model"},
	{Err: safetensors.ErrText, Code: "bad-model"},
	{Err: safetensors.ErrFormat, Code: "bad-model"},
	{Err: adapter.ErrFile, Code: "bad-model"},
	{Err: upscaler.ErrFile, Code: "bad-model"},
	{Err: diffusion.ErrBadAdapter, Code: "bad-model"},
	{Err: diffusion.ErrBadRequest, Code: "bad-request"},
	{Err: bridge.ErrBadRequest, Code: "bad-request"},
}
