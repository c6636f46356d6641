// An example writes what it printed to a file, which a browser has not.

//go:build !js

package loader_test

import (
	"context"
	"fmt"

	"wisp/loader"
)

// A model in a directory: what it is made of, and its tensors one by one.
func Example() {
	ctx := context.Background()
	m, err := loader.Open(ctx, loader.Dir("../site/models/default"), nil, loader.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	n := 0
	err = m.LoadPrefix(ctx, "vae", []string{"decoder."}, func(t loader.Tensor) error {
		n++
		return nil
	})
	fmt.Println(m.Manifest().Components["vae"].Class, n > 20, err)
	// Output: AutoencoderTiny true <nil>
}

// A pin behind an address is the manifest's hash.
func ExampleSplitAddress() {
	_, _, err := loader.SplitAddress("https://host/model/#sha256=0")
	fmt.Println(err)
	// Output: loader: bad model: the address ends in #sha256=0, where only #sha256= and 64 lower-case hex digits may stand
}
