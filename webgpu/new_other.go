//go:build !js

package webgpu

import (
	"context"
	"fmt"

	"wisp/engine"
)

// New returns engine.ErrUnsupported: WebGPU is a thing of browsers.
func New(context.Context, Options) (*Backend, error) {
	return nil, fmt.Errorf("webgpu: only in a browser: %w", engine.ErrUnsupported)
}
