// An example writes what it printed to a file, which a browser has not.

//go:build !js

package diffusion_test

import (
	"context"
	"fmt"

	"wisp/engine/diffusion"
	"wisp/engine/simd"
	"wisp/loader"
)

// A picture of the default model, with the settings that its publisher recommends.
func Example() {
	ctx := context.Background()
	m, err := loader.Open(ctx, loader.Dir("../../site/models/default"), nil, loader.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := simd.New(simd.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	p, err := diffusion.New(ctx, b, m, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	r := p.Defaults()
	r.Prompt, r.Seed, r.Steps = "red heart", 7, 1
	result, err := p.Generate(ctx, r, func(e diffusion.Event) {})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result.Images[0].Bounds().Size(), result.Seed)
	// Output: (128,128) 7
}
