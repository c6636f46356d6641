package webgpu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hack-pad/safejs"

	"wisp/engine"
)

// jsDevice is a WebGPU device of the browser, reached through the Replay
// object of replay.js.
type jsDevice struct {
	replay      safejs.Value
	info        Adapter
	uint8Array  safejs.Value
	transfer    safejs.Value // a Uint8Array through which bytes reach JavaScript
	size        int          // of transfer
	staging     safejs.Value // a Uint8Array for a weight on its way
	stagingSize int
	closed      bool
}

// openDevice asks the browser for a device. The page's worker has loaded
// replay.js beforehand.
func openDevice(o Options) (*jsDevice, error) {
	global, err := safejs.Global().Get("wispReplay")
	if err != nil || global.IsUndefined() {
		return nil, fmt.Errorf("webgpu: replay.js is not loaded: %w", engine.ErrUnsupported)
	}
	var omit []string
	if o.NoSubgroups || o.DefaultLimits {
		omit = append(omit, "subgroups")
	}
	if o.DefaultLimits {
		omit = append(omit, "shader-f16", "timestamp-query")
	}
	promise, err := global.Call("open", o.DefaultLimits, strings.Join(omit, ","), o.Fast)
	if err != nil {
		return nil, typed(err)
	}
	d := &jsDevice{}
	if d.replay, err = await(context.Background(), promise); err != nil {
		return nil, err
	}
	text, err := property(d.replay, "info")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(text), &d.info); err != nil {
		return nil, fmt.Errorf("webgpu: adapter: %w", err)
	}
	d.uint8Array, err = safejs.Global().Get("Uint8Array")
	return d, err
}

// trust gives the driver more time to answer than in the self-test.
func (d *jsDevice) trust() error {
	_, err := d.call("trust")
	return err
}

func property(v safejs.Value, name string) (string, error) {
	p, err := v.Get(name)
	if err != nil {
		return "", err
	}
	return p.String()
}

func (d *jsDevice) adapter() Adapter { return d.info }

// call calls a method and returns its result.
func (d *jsDevice) call(method string, args ...any) (safejs.Value, error) {
	v, err := d.replay.Call(method, args...)
	return v, typed(err)
}

// promise calls a method and waits for its promise.
func (d *jsDevice) promise(ctx context.Context, method string, args ...any) (safejs.Value, error) {
	p, err := d.call(method, args...)
	if err != nil {
		return p, err
	}
	return await(ctx, p)
}

func (d *jsDevice) integer(method string, args ...any) (int, error) {
	v, err := d.call(method, args...)
	if err != nil {
		return 0, err
	}
	return v.Int()
}

func (d *jsDevice) alloc(size int) (bufferID, error) {
	id, err := d.integer("alloc", size)
	return bufferID(id), err
}

func (d *jsDevice) free(b bufferID) { d.replay.Call("free", int(b)) }

// bytes copies data into the transfer array and returns a view of it: never a
// view over Go's memory, which moves when it grows.
func (d *jsDevice) bytes(data []byte) (safejs.Value, error) {
	if d.size < len(data) {
		size := max(len(data), 1<<20)
		array, err := d.uint8Array.New(size)
		if err != nil {
			return array, err
		}
		d.transfer, d.size = array, size
	}
	view, err := d.transfer.Call("subarray", 0, len(data))
	if err != nil {
		return view, err
	}
	_, err = safejs.CopyBytesToJS(view, data)
	return view, err
}

// writeChunk bounds the transfer array.
const writeChunk = 8 << 20

func (d *jsDevice) write(b bufferID, offset int, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), writeChunk)
		view, err := d.bytes(data[:n])
		if err != nil {
			return err
		}
		if _, err := d.call("write", int(b), offset, view); err != nil {
			return err
		}
		data, offset = data[n:], offset+n
	}
	return nil
}

// stage is an array of JavaScript's, which the next weight uses again.
func (d *jsDevice) stage(size int) (staging, error) {
	if d.stagingSize < size {
		d.staging, d.stagingSize = safejs.Value{}, 0 // the old one goes first
		array, err := d.uint8Array.New(align(size, 16))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", typed(err), engine.ErrOutOfMemory)
		}
		d.staging, d.stagingSize = array, size
	}
	return jsStaging{d, size}, nil
}

// jsStaging is the first bytes of that array.
type jsStaging struct {
	d    *jsDevice
	size int
}

// View is n bytes from one on, for who knows the host.
func (s jsStaging) View(at, n int) (safejs.Value, error) {
	if at < 0 || n < 0 || at > s.size-n {
		return safejs.Value{}, fmt.Errorf("webgpu: %d bytes at %d of a weight of %d", n, at, s.size)
	}
	return s.d.staging.Call("subarray", at, at+n)
}

// WriteAt copies p into the array.
func (s jsStaging) WriteAt(p []byte, at int64) (int, error) {
	view, err := s.View(int(at), len(p))
	if err != nil {
		return 0, err
	}
	return safejs.CopyBytesToJS(view, p)
}

func (s jsStaging) send(to bufferID, from, n int) error {
	for at := 0; at < n; at += writeChunk {
		view, err := s.d.staging.Call("subarray", from+at, from+at+align(min(n-at, writeChunk), 4))
		if err != nil {
			return err
		}
		if _, err := s.d.call("write", int(to), at, view); err != nil {
			return err
		}
	}
	return nil
}

func (d *jsDevice) flush() error {
	if d.stagingSize > writeChunk {
		d.staging, d.stagingSize = safejs.Value{}, 0
	}
	_, err := d.promise(context.Background(), "flush")
	return err
}

func (d *jsDevice) drain() error {
	_, err := d.promise(context.Background(), "drain")
	return err
}

func (d *jsDevice) compile(modules map[string]string, pipelines []pipeline) (int, error) {
	text, err := json.Marshal(map[string]any{"modules": modules, "pipelines": pipelines})
	if err != nil {
		return 0, err
	}
	v, err := d.promise(context.Background(), "compile", string(text))
	if err != nil {
		return 0, err
	}
	return v.Int()
}

// script hands over a script as an Int32Array of words and a Uint8Array of
// uniforms.
func (d *jsDevice) script(method string, s *script) (safejs.Value, error) {
	words := s.words()
	view, err := d.bytes(append(words, s.uniforms...))
	if err != nil {
		return view, err
	}
	buffer, err := view.Get("buffer")
	if err != nil {
		return view, err
	}
	int32Array, err := safejs.Global().Get("Int32Array")
	if err != nil {
		return view, err
	}
	list, err := int32Array.New(buffer, 0, len(words)/4)
	if err != nil {
		return view, err
	}
	uniforms, err := view.Call("subarray", len(words))
	if err != nil {
		return view, err
	}
	return d.call(method, list, uniforms)
}

func (d *jsDevice) once(s *script) error {
	_, err := d.script("once", s)
	return err
}

func (d *jsDevice) load(s *script) (programID, error) {
	v, err := d.script("load", s)
	if err != nil {
		return 0, err
	}
	id, err := v.Int()
	return programID(id), err
}

func (d *jsDevice) unload(p programID) { d.replay.Call("unload", int(p)) }

func (d *jsDevice) run(ctx context.Context, p programID, upload, download []byte, profile []float64) error {
	view, err := d.bytes(upload)
	if err != nil {
		return err
	}
	result, err := d.promise(ctx, "run", int(p), view, profile != nil)
	if ctx.Err() != nil {
		d.replay.Call("cancel", int(p))
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	if _, err := safejs.CopyBytesToGo(download, result); err != nil {
		return err
	}
	if profile != nil {
		return d.times(p, profile)
	}
	return nil
}

// times fills profile with the last profile of a program.
func (d *jsDevice) times(p programID, profile []float64) error {
	v, err := d.call("times", int(p))
	if err != nil {
		return err
	}
	for i := range profile {
		item, err := v.Index(i)
		if err != nil {
			return err
		}
		if profile[i], err = item.Float(); err != nil {
			return err
		}
	}
	return nil
}

func (d *jsDevice) close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	_, err := d.call("destroy")
	return err
}

// await waits for a promise and returns its value or its typed error. It
// leaves early when ctx ends.
func await(ctx context.Context, promise safejs.Value) (safejs.Value, error) {
	type outcome struct {
		value safejs.Value
		err   error
	}
	done := make(chan outcome, 1)
	var resolved, rejected safejs.Func
	release := func() {
		resolved.Release()
		rejected.Release()
	}
	resolved, err := safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		release()
		o := outcome{}
		if len(args) > 0 {
			o.value = args[0]
		}
		done <- o
		return nil
	})
	if err != nil {
		return safejs.Value{}, err
	}
	rejected, err = safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any {
		release()
		o := outcome{err: errors.New("webgpu: rejected")}
		if len(args) > 0 {
			o.err = rejection(args[0])
		}
		done <- o
		return nil
	})
	if err != nil {
		resolved.Release()
		return safejs.Value{}, err
	}
	if _, err := promise.Call("then", resolved, rejected); err != nil {
		release()
		return safejs.Value{}, err
	}
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		return safejs.Value{}, ctx.Err()
	}
}

// kinds maps the kinds of failure of replay.js to errors.
var kinds = map[string]error{
	"unsupported":   engine.ErrUnsupported,
	"out-of-memory": engine.ErrOutOfMemory,
	"lost":          engine.ErrDeviceLost,
	"cancelled":     context.Canceled,
}

// rejection makes an error of what a promise was rejected with.
func rejection(v safejs.Value) error {
	message, err := property(v, "message")
	if err != nil {
		message = "unknown error"
	}
	kind, err := property(v, "kind")
	if sentinel := kinds[kind]; err == nil && sentinel != nil {
		return fmt.Errorf("%s: %w", message, sentinel)
	}
	return errors.New(message)
}

// typed makes an error of an exception.
func typed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("webgpu: %w", err)
}
