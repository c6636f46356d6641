package loader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hack-pad/safejs"

	"wisp/loader/decode"
)

// workerSource is the script of a decoding worker: an instance of the decoder's
// module over a memory of its own, and no Go. Its first message is the module.
// Every other is a job (see workerJob.message), and is answered with the job's
// number and one of: raw, the bytes; code, what the decoder returned in place of
// their number; wrong, what the chunk is where it is not the right one; failure,
// what went wrong otherwise.
var workerSource = fmt.Sprintf(`let memory, exports;

function work({ stored, size, zstd, raw, cuts }) {
	if (stored.length !== size) return { wrong: stored.length + " bytes where the manifest says " + size };
	const src = %[1]d, plain = zstd ? src + size : src, joined = plain + raw;
	const missing = joined + (cuts.length && raw) - memory.buffer.byteLength;
	if (missing > 0) memory.grow((missing + 65535) >> 16);
	const view = new Uint8Array(memory.buffer);
	view.set(stored, src);
	const code = zstd ? exports.decode(src, size, plain, raw) : size;
	if (code !== raw) return { code };
	let end = 0;
	for (const [at, n, width] of cuts) {
		view.copyWithin(joined + end, plain + end, plain + at);
		exports.join(plain + at, joined + at, n, width);
		end = at + n * width;
	}
	if (cuts.length) view.copyWithin(joined + end, plain + end, plain + raw);
	const from = cuts.length ? joined : plain;
	const out = stored.buffer.byteLength >= raw ? new Uint8Array(stored.buffer, 0, raw) : new Uint8Array(raw);
	out.set(view.subarray(from, from + raw));
	return { raw: out };
}

onmessage = ({ data }) => {
	if (data.module) {
		memory = new WebAssembly.Memory({ initial: %[2]d });
		exports = new WebAssembly.Instance(data.module, { env: { memory } }).exports;
		return postMessage({ number: 0 });
	}
	let answer;
	try {
		answer = work(data);
	} catch (error) {
		answer = { failure: String(error) };
	}
	answer.number = data.number;
	postMessage(answer, answer.raw ? [answer.raw.buffer] : []);
};`, decode.Base, decode.Base>>16)

// errNoWorker: no decoding worker can be had, or the one with the job is gone.
var errNoWorker = errors.New("no decoding worker")

const (
	workerStart    = 10 * time.Second // for a worker to come up
	workerPatience = 30 * time.Second // for an answer
	workerJobs     = 2                // that a worker holds, so that it need not wait for the next
)

// cut is a part of a chunk's raw bytes that is in byte planes: n elements of
// width bytes, from byte at on.
type cut struct{ at, n, width int }

// workerJob is a chunk, whose hash is right, to be decoded and its planes to be
// joined.
type workerJob struct {
	chunk  Chunk
	stored safejs.Value // a Uint8Array, which is transferred: it is void after; see array
	cuts   []cut        // ascending
}

// post sends the job, numbered, to a worker's script.
func (j workerJob) post(w safejs.Value, number int) error {
	buffer, err := j.stored.Get("buffer")
	if err != nil {
		return err
	}
	cuts := []any{}
	for _, c := range j.cuts {
		cuts = append(cuts, []any{c.at, c.n, c.width})
	}
	c := j.chunk
	_, err = w.Call("postMessage", map[string]any{"number": number, "stored": j.stored, "size": c.Stored,
		"zstd": c.Encoding == "zstd", "raw": c.Raw, "cuts": cuts}, []any{buffer})
	return err
}

// workers is a pool of them.
type workers struct {
	all  []*worker
	free chan *worker  // an entry for each job that may be given
	none chan struct{} // closed when no worker is left

	mu    sync.Mutex
	left  int
	spare []safejs.Value // Uint8Arrays, for array
}

type worker struct {
	pool  *workers
	value safejs.Value
	heard []safejs.Func
	lost  chan struct{} // closed when it is gone

	mu      sync.Mutex
	ended   bool
	number  int
	waiting map[int]chan safejs.Value
}

// startWorkers starts as many workers as there are processors, most at the
// most, and waits for the first to come up. It fails with errNoWorker where none
// does, as under a Content-Security-Policy that forbids them.
func startWorkers(ctx context.Context, most int) (*workers, error) {
	if navigator, ok := global("navigator"); ok {
		if cores, err := number(navigator, "hardwareConcurrency"); err == nil {
			most = max(1, min(most, cores))
		}
	}
	return startPool(ctx, most)
}

// startPool is startWorkers for n workers.
func startPool(ctx context.Context, n int) (*workers, error) {
	p := &workers{free: make(chan *worker, n*workerJobs), none: make(chan struct{}), left: n}
	code, err := decoderCode()
	if err == nil {
		err = p.start(n, code, workerSource)
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("%w: %w", errNoWorker, err)
	}
	w, err := p.take(ctx, workerStart)
	if err != nil {
		p.close()
		return nil, err
	}
	p.free <- w
	return p, nil
}

func (p *workers) start(n int, code safejs.Value, source string) error {
	url, release, err := scriptURL(source)
	if err != nil {
		return err
	}
	defer release()
	class, ok := global("Worker")
	if !ok {
		return errors.New("no Worker here")
	}
	for range n {
		w := &worker{pool: p, lost: make(chan struct{}), waiting: map[int]chan safejs.Value{}}
		if w.value, err = class.New(url); err != nil {
			return err
		}
		p.all = append(p.all, w)
		for event, f := range map[string]func(safejs.Value){"onmessage": w.answer, "onerror": w.lose, "onmessageerror": w.lose} {
			if err := w.listen(event, f); err != nil {
				return err
			}
		}
		if _, err := w.value.Call("postMessage", map[string]any{"module": code}); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) listen(event string, f func(safejs.Value)) error {
	callback, err := safejs.FuncOf(func(_ safejs.Value, args []safejs.Value) any { f(first(args)); return nil })
	if err != nil {
		return err
	}
	w.heard = append(w.heard, callback)
	return w.value.Set(event, callback)
}

// answer takes a message of the worker. Job 0 is its coming up.
func (w *worker) answer(event safejs.Value) {
	data, err := event.Get("data")
	if err != nil {
		return
	}
	n, err := number(data, "number")
	if err != nil {
		return
	}
	if n == 0 {
		for range workerJobs {
			w.pool.free <- w
		}
		return
	}
	w.mu.Lock()
	reply, ok := w.waiting[n]
	delete(w.waiting, n)
	w.mu.Unlock()
	if ok {
		reply <- data
		w.pool.free <- w
	}
}

// lose gives the worker up. An error that ended it is dealt with here: else the
// browser would report it to the page.
func (w *worker) lose(event safejs.Value) {
	if !event.IsUndefined() {
		event.Call("preventDefault")
	}
	w.mu.Lock()
	ended := w.ended
	w.ended = true
	w.mu.Unlock()
	if ended {
		return
	}
	w.value.Call("terminate")
	close(w.lost)
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if w.pool.left--; w.pool.left == 0 {
		close(w.pool.none)
	}
}

// close ends the workers. What they are at fails with errNoWorker.
func (p *workers) close() {
	for _, w := range p.all {
		w.lose(safejs.Undefined())
		for _, event := range []string{"onmessage", "onerror", "onmessageerror"} {
			w.value.Set(event, safejs.Null())
		}
		for _, f := range w.heard {
			f.Release()
		}
	}
}

// take waits for a worker that may be given a job.
func (p *workers) take(ctx context.Context, patience time.Duration) (*worker, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case w := <-p.free:
			if !w.gone() {
				return w, nil
			}
		case <-p.none:
			return nil, errNoWorker
		case <-timer.C:
			return nil, fmt.Errorf("%w within %v", errNoWorker, patience)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (w *worker) gone() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended
}

// array is a chunk's stored bytes as workerJob.stored, in a buffer that the
// result fits into and comes back in. Browsers take longer to make one of 4 MiB
// than to decode as much, so recycled ones are used first.
func (p *workers) array(c Chunk, stored []byte) (a safejs.Value, err error) {
	size := int(max(c.Raw, c.Stored))
	p.mu.Lock()
	for len(p.spare) > 0 && a.IsUndefined() {
		last := p.spare[len(p.spare)-1]
		p.spare = p.spare[:len(p.spare)-1]
		if buffer, err := last.Get("buffer"); err == nil {
			if n, err := number(buffer, "byteLength"); err == nil && n >= size {
				a = buffer
			}
		}
	}
	p.mu.Unlock()
	class, _ := global("Uint8Array")
	if a.IsUndefined() {
		a, err = class.New(size)
	} else {
		a, err = class.New(a)
	}
	if err != nil {
		return a, err
	}
	if _, err := safejs.CopyBytesToJS(a, stored); err != nil {
		return a, err
	}
	return a.Call("subarray", 0, len(stored))
}

// recycle takes a result back, whose bytes are void after.
func (p *workers) recycle(a safejs.Value) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.spare) < cap(p.free) {
		p.spare = append(p.spare, a)
	}
}

// decode gives a worker the job and waits for its end. The error is errNoWorker
// where the worker did not come back, wrongBytes where the chunk is not the
// right one, ErrBadModel where it cannot be decoded, or the context's. Several
// may call it at a time.
func (p *workers) decode(ctx context.Context, j workerJob) (safejs.Value, error) {
	w, err := p.take(ctx, workerPatience)
	if err != nil {
		return safejs.Value{}, err
	}
	reply := make(chan safejs.Value, 1)
	w.mu.Lock()
	w.number++
	number := w.number
	w.waiting[number] = reply
	w.mu.Unlock()
	if err := j.post(w.value, number); err != nil {
		w.lose(safejs.Undefined())
		return safejs.Value{}, fmt.Errorf("%w: %w", errNoWorker, err)
	}
	timer := time.NewTimer(workerPatience)
	defer timer.Stop()
	select {
	case data := <-reply:
		return j.result(data)
	case <-w.lost:
	case <-timer.C:
		w.lose(safejs.Undefined())
	case <-ctx.Done():
		return safejs.Value{}, ctx.Err()
	}
	return safejs.Value{}, errNoWorker
}

// result reads an answer.
func (j workerJob) result(data safejs.Value) (safejs.Value, error) {
	if code, err := number(data, "code"); err == nil {
		if code < 0 {
			return data, unpacked(j.chunk, 0, decode.Error(code))
		}
		return data, unpacked(j.chunk, code, nil)
	}
	if s, err := text(data, "wrong"); err == nil {
		return data, wrongBytes{errors.New(s)}
	}
	if s, err := text(data, "failure"); err == nil {
		return data, fmt.Errorf("%w: %s", errNoWorker, s)
	}
	return data.Get("raw")
}

// scriptURL makes a URL for a script, to be released after use.
func scriptURL(source string) (url safejs.Value, release func(), err error) {
	class, ok := global("Blob")
	urls, has := global("URL")
	if !ok || !has {
		return url, nil, errors.New("no Blob or URL here")
	}
	blob, err := class.New([]any{source}, map[string]any{"type": "text/javascript"})
	if err != nil {
		return url, nil, err
	}
	url, err = urls.Call("createObjectURL", blob)
	return url, func() { urls.Call("revokeObjectURL", url) }, err
}
