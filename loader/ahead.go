//go:build !js

package loader

import "context"

// ahead decodes chunks before their turn, where that needs workers: not here.
type ahead struct{}

func newAhead(context.Context, *Manifest, []int, []*TensorInfo) *ahead { return nil }

func (*ahead) decode(context.Context, int, []byte) (r raw, ok bool) { return r, false }

func (*ahead) recycle(raw) {}

func (*ahead) close() {}
