package loader

import "context"

// ahead has workers decode chunks before their turn and join the planes of the
// tensors that are wanted of them.
type ahead struct {
	man  *Manifest
	cuts map[int][]cut // by chunk
	pool func() (*workers, error)
}

const (
	// aheadWorkers is enough for two fast cores; each has memory for some three
	// chunks of its own.
	aheadWorkers = 2
	// aheadLeast is how many chunks are worth the start of workers.
	aheadLeast = 6
)

// newAhead starts workers for chunks; nil where they are too few for that.
func newAhead(ctx context.Context, man *Manifest, chunks []int, want []*TensorInfo) *ahead {
	packed := 0
	for _, i := range chunks {
		if man.Chunks[i].Encoding == "zstd" {
			packed++
		}
	}
	if packed < aheadLeast {
		return nil
	}
	return &ahead{man, cutsOf(man, want), later(func() (*workers, error) { return startWorkers(ctx, aheadWorkers) })}
}

// cutsOf lists the parts of tensors in byte planes, by chunk, ascending as the
// tensors do.
func cutsOf(man *Manifest, want []*TensorInfo) map[int][]cut {
	cuts := map[int][]cut{}
	for _, t := range want {
		w := t.width()
		if w == 1 {
			continue
		}
		off, left := t.Offset, t.Length
		for i := t.Chunk; left > 0; i++ {
			n := min(left, man.Chunks[i].Raw-off)
			cuts[i] = append(cuts[i], cut{int(off), int(n) / w, w})
			off, left = 0, left-n
		}
	}
	return cuts
}

// decode decodes chunk i, whose hash is right. Where it cannot, this thread
// will, and say what is wrong with the chunk, if that is it.
func (a *ahead) decode(ctx context.Context, i int, stored []byte) (r raw, ok bool) {
	if a == nil || a.man.Chunks[i].Encoding != "zstd" {
		return r, false
	}
	pool, err := a.pool()
	if err != nil {
		return r, false
	}
	c := a.man.Chunks[i]
	array, err := pool.array(c, stored)
	if err != nil {
		return r, false
	}
	array, err = pool.decode(ctx, workerJob{chunk: c, stored: array, cuts: a.cuts[i]})
	if err != nil {
		return r, false
	}
	r, err = joined(array)
	return r, err == nil
}

// recycle takes what decode gave back; it is void after.
func (a *ahead) recycle(r raw) {
	if a == nil || r.inGo() {
		return
	}
	if pool, err := a.pool(); err == nil {
		pool.recycle(r.array)
	}
}

// close ends the workers.
func (a *ahead) close() {
	if a == nil {
		return
	}
	if pool, err := a.pool(); err == nil {
		pool.close()
	}
}
