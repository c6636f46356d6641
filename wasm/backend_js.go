package main

import (
	"context"
	"errors"
	"fmt"

	"wisp/engine"
	"wisp/engine/cpu"
	"wisp/engine/diffusion"
	"wisp/engine/simd"
	"wisp/webgpu"
)

// newBackend starts the backend of that name with at most so many threads (0
// for what the device offers). "auto" is the graphics card where there is a
// real one, else WebAssembly SIMD.
func newBackend(ctx context.Context, name string, threads int) (engine.Backend, error) {
	switch name {
	case "", "auto":
		if b, err := webgpu.New(ctx, webgpu.Options{Fast: true}); err == nil {
			return b, nil
		}
		return newSIMD(threads)
	case "webgpu":
		b, err := webgpu.New(ctx, webgpu.Options{})
		if err != nil {
			return nil, err // not a nil *Backend in an interface
		}
		return b, nil
	case "simd":
		return newSIMD(threads)
	case "cpu":
		return cpu.New(), nil
	}
	return nil, fmt.Errorf("%w: backend %q is not one of auto, webgpu, simd, cpu", diffusion.ErrBadRequest, name)
}

func newSIMD(threads int) (engine.Backend, error) {
	return simd.New(simd.Options{Threads: threadCount(threads)})
}

// threadCount bounds the wish by what the device offers.
func threadCount(wish int) int {
	most := simd.DefaultThreads()
	if wish < 1 {
		return most
	}
	return min(wish, most)
}

// lost reports whether a backend is of no further use, where another may be.
func lost(err error) bool {
	return errors.Is(err, engine.ErrDeviceLost) || errors.Is(err, engine.ErrOutOfMemory)
}
