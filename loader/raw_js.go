package loader

import "github.com/hack-pad/safejs"

// raw is decoded bytes of chunks: in Go's memory, where tensors in planes are so
// still, or outside of it, where they have been joined.
type raw struct {
	b     []byte
	array safejs.Value // Uint8Array; undefined where b has the bytes
	at, n int64        // the part of it that is meant
}

// joined is bytes outside of Go's memory.
func joined(array safejs.Value) (raw, error) {
	n, err := array.Length()
	return raw{array: array, n: int64(n)}, err
}

func (r raw) inGo() bool { return r.array.IsUndefined() }

func (r raw) size() int64 {
	if r.inGo() {
		return int64(len(r.b))
	}
	return r.n
}

// part is the n bytes from an offset on.
func (r raw) part(at, n int64) raw {
	if r.inGo() {
		return raw{b: r.b[at : at+n]}
	}
	return raw{array: r.array, at: r.at + at, n: n}
}

// view is a Uint8Array over the bytes outside of Go's memory.
func (r raw) view() (safejs.Value, error) { return r.array.Call("subarray", r.at, r.at+r.n) }

// appendTo appends the bytes to b.
func (r raw) appendTo(b []byte) ([]byte, error) {
	if r.inGo() {
		return append(b, r.b...), nil
	}
	view, err := r.view()
	if err != nil {
		return b, err
	}
	copied, err := toGo(view)
	return append(b, copied...), err
}
