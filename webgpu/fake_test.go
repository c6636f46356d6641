package webgpu

import (
	"context"
	"errors"
	"fmt"

	"wisp/engine"
)

// fake is a device that records what it is asked for and checks the rules of
// WebGPU that a wrong plan would break.
type fake struct {
	limits    Limits
	features  []string
	memory    int // bytes that may be allocated; 0 for any number
	buffers   map[bufferID]int
	allocated int
	next      bufferID
	pipelines []pipeline
	modules   map[string]string
	scripts   map[programID]*script
	ran       []*script // by once and run
	faults    []error
	fault     error // of the next flush
	broken    bool  // pipelines do not compile
}

func newFake(limits Limits) *fake {
	return &fake{limits: limits, buffers: map[bufferID]int{}, modules: map[string]string{}, scripts: map[programID]*script{}}
}

func (f *fake) adapter() Adapter { return Adapter{Limits: f.limits, Features: f.features} }

func (f *fake) complain(format string, args ...any) {
	f.faults = append(f.faults, fmt.Errorf(format, args...))
}

func (f *fake) alloc(size int) (bufferID, error) {
	if size <= 0 || size%4 != 0 || size > f.limits.Buffer {
		f.complain("buffer of %d bytes", size)
	}
	f.next++
	f.buffers[f.next] = size
	f.allocated += size
	if f.memory > 0 && f.allocated > f.memory {
		f.fault = engine.ErrOutOfMemory
	}
	return f.next, nil
}

func (f *fake) free(b bufferID) {
	if _, ok := f.buffers[b]; !ok {
		f.complain("free of unknown buffer %d", b)
	}
	f.allocated -= f.buffers[b]
	delete(f.buffers, b)
}

func (f *fake) write(b bufferID, offset int, data []byte) error {
	if offset%4 != 0 || len(data)%4 != 0 || offset+len(data) > f.buffers[b] {
		f.complain("write of %d bytes at %d into %d", len(data), offset, f.buffers[b])
	}
	return nil
}

func (f *fake) stage(size int) (staging, error) { return hostBytes{f, make([]byte, size)}, nil }

func (f *fake) flush() (err error) {
	err, f.fault = f.fault, nil
	return err
}

func (f *fake) drain() error { return nil }

func (f *fake) compile(modules map[string]string, pipelines []pipeline) (int, error) {
	if f.broken {
		return 0, errors.New("no such pipeline")
	}
	for name, text := range modules {
		f.modules[name] = text
	}
	first := len(f.pipelines)
	f.pipelines = append(f.pipelines, pipelines...)
	return first, nil
}

func (f *fake) once(s *script) error {
	f.check(s)
	f.ran = append(f.ran, s)
	return nil
}

func (f *fake) load(s *script) (programID, error) {
	f.check(s)
	id := programID(len(f.scripts) + 1)
	f.scripts[id] = s
	return id, nil
}

func (f *fake) unload(p programID) { f.scripts[p] = nil }

func (f *fake) run(ctx context.Context, p programID, upload, download []byte, _ []float64) error {
	s := f.scripts[p]
	if s == nil {
		f.complain("run of program %d, which is not loaded", p)
		return nil
	}
	f.check(s)
	if len(upload) != total(s.uploads) || len(download) != total(s.downloads) {
		f.complain("%d bytes up and %d down, want %d and %d", len(upload), len(download), total(s.uploads), total(s.downloads))
	}
	f.ran = append(f.ran, s)
	return ctx.Err()
}

func (f *fake) close() error { return nil }

// check holds a script against the rules of WebGPU.
func (f *fake) check(s *script) {
	for _, d := range s.dispatches {
		if d.dims.offset%f.limits.UniformAlign != 0 || d.dims.offset+d.dims.size > len(s.uniforms) {
			f.complain("dims at %+v of %d", d.dims, len(s.uniforms))
		}
		if d.pipeline >= len(f.pipelines) || f.pipelines[d.pipeline].Reads != len(d.bindings)-1 {
			f.complain("pipeline %d with %d bindings", d.pipeline, len(d.bindings))
			continue
		}
		if len(d.bindings) > 8 {
			f.complain("%s has %d storage buffers", f.pipelines[d.pipeline].Module, len(d.bindings))
		}
		for i, b := range d.bindings {
			size, ok := f.buffers[b.buffer]
			switch {
			case !ok:
				f.complain("%s binds a freed buffer", f.pipelines[d.pipeline].Module)
			case b.offset%f.limits.StorageAlign != 0 || b.size <= 0 || b.size%4 != 0 || b.offset+b.size > size || b.size > f.limits.Binding:
				f.complain("%s binds %+v of %d bytes", f.pipelines[d.pipeline].Module, b, size)
			case i < len(d.bindings)-1 && b.buffer == d.bindings[len(d.bindings)-1].buffer:
				f.complain("%s reads the buffer it writes", f.pipelines[d.pipeline].Module)
			}
		}
		for _, n := range d.grid {
			if n < 1 || n > 65535 {
				f.complain("%s has a grid of %v", f.pipelines[d.pipeline].Module, d.grid)
			}
		}
	}
	for _, b := range append(s.uploads[:len(s.uploads):len(s.uploads)], s.downloads...) {
		if b.offset%4 != 0 || b.size%4 != 0 || b.offset+b.size > f.buffers[b.buffer] {
			f.complain("copy of %+v of %d bytes", b, f.buffers[b.buffer])
		}
	}
}
