// Command wasm is the engine as the page's worker sees it: it defines one
// global, wispEngine, whose functions return promises. It translates between
// JavaScript values and the Go packages and knows nothing of the page.
//
//	wispEngine.capabilities(model)                 → {runs, backend, threads, reason, ...}
//	wispEngine.create({model, backend, threads, profile}, onEvent) → generator
//	wispEngine.models(), removeModel(id)           what this browser keeps
//	generator.defaults, generator.samplers         what the model recommends and offers
//	generator.generate(request, onEvent)           → {images, seed, timings, ...}
//	generator.cancel()                             ends the generate under way
//
// A model is the address of its directory, "stored:" and the id of one that is
// kept, or an array of File objects. A promise is rejected with {code, message}. site/worker.js carries these
// calls over postMessage; start there or at create.
package main

import (
	"github.com/hack-pad/safejs"
)

func main() {
	engine := map[string]any{
		"capabilities": promising(capabilities),
		"create":       promising(create),
		"models":       promising(models),
		"removeModel":  promising(removeModel),
	}
	if err := safejs.Global().Set("wispEngine", engine); err != nil {
		panic(err)
	}
	select {} // the functions live as long as the worker
}
