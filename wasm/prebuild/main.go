//go:build !js

// Command prebuild emits the WebAssembly modules that the engine starts, and lays
// them over the tree for its build: prebuild ROOT DIR writes them to DIR and
// DIR/overlay.json for go build -tags prebuilt -overlay. The engine is a tenth
// smaller without what emits them, and starts sooner.
package main

import (
	"encoding/json"
	"log"
	"os"
	"path/filepath"

	"wisp/engine/simd"
	"wisp/loader/decode"
)

func main() {
	root, dir := os.Args[1], os.Args[2]
	files := map[string][]byte{
		"loader/decode/simd.wasm":  decode.Emit(true),
		"loader/decode/plain.wasm": decode.Emit(false),
	}
	for name, module := range simd.Modules() {
		files["engine/simd/"+name+".wasm"] = module
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for name, data := range files {
		file := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(file, data, 0o644); err != nil {
			log.Fatal(err)
		}
		overlay.Replace[filepath.Join(root, filepath.FromSlash(name))] = file
	}
	list, err := json.Marshal(overlay)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "overlay.json"), list, 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}
