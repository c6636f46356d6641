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

// errNoCard: WebGPU was asked for, and cannot be had.
var errNoCard = errors.New("no graphics card")

// newBackend starts the backend of that name with at most so many threads (0
// for what the device offers). "auto" is the graphics card where there is a
// real one, else WebAssembly SIMD; warn, where not nil, is told of one that does
// not answer. profile times the graphics card's kernels.
func newBackend(ctx context.Context, name string, threads int, profile bool, warn func(error)) (engine.Backend, error) {
	switch name {
	case "", "auto":
		b, err := webgpu.New(ctx, webgpu.Options{Fast: true, Profile: profile})
		if err == nil {
			return b, nil
		}
		if errors.Is(err, engine.ErrDeviceLost) && warn != nil {
			warn(cardFailed(err))
		}
		return newSIMD(threads)
	case "webgpu":
		b, err := webgpu.New(ctx, webgpu.Options{Profile: profile})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNoCard, err)
		}
		return b, nil
	case "simd":
		return newSIMD(threads)
	case "cpu":
		return cpu.New(), nil
	}
	return nil, fmt.Errorf("%w: backend %q is not one of auto, webgpu, simd, cpu", diffusion.ErrBadRequest, name)
}

func cardFailed(why error) error {
	return fmt.Errorf("the graphics card failed: the processor draws instead (%w)", why)
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

// device says in words what a backend runs on.
func device(b engine.Backend) string {
	gpu, ok := b.(*webgpu.Backend)
	if !ok {
		return b.Name()
	}
	info := gpu.Info()
	text := fmt.Sprintf("%v, %s", info.Adapter, info.Precision)
	if info.Subgroups {
		text += " with subgroups"
	}
	if info.Reason != "" {
		text += ": " + info.Reason
	}
	return text
}

// rate is the floating-point operations a second that a backend was measured at.
func rate(ctx context.Context, b engine.Backend) (float64, error) {
	if gpu, ok := b.(*webgpu.Backend); ok {
		return gpu.Info().GFLOPS * 1e9, nil
	}
	return engine.Rate(ctx, b)
}

// profile lists what the kernels of a backend took so far, the longest first;
// empty where nothing is timed.
func profile(b engine.Backend) []any {
	list := []any{}
	if gpu, ok := b.(*webgpu.Backend); ok {
		for _, k := range gpu.Profile() {
			list = append(list, map[string]any{
				"kernel": k.Kernel, "dispatches": k.Dispatches, "ms": k.Time.Seconds() * 1e3, "flops": k.FLOPs, "bytes": k.Bytes,
			})
		}
	}
	return list
}
