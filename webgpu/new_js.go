package webgpu

import "context"

// New opens the browser's WebGPU device. It returns engine.ErrUnsupported
// where there is none, or where it computes wrong results.
func New(ctx context.Context, o Options) (*Backend, error) {
	dev, err := openDevice(o)
	if err != nil {
		return nil, err
	}
	b := newBackend(dev)
	if err = b.start(ctx, o); err == nil {
		err = dev.trust()
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}
