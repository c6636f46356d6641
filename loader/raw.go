//go:build !js

package loader

// raw is decoded bytes of chunks, of whose tensors those in planes are so still.
type raw struct{ b []byte }

func (r raw) size() int64 { return int64(len(r.b)) }

// part is the n bytes from an offset on.
func (r raw) part(at, n int64) raw { return raw{r.b[at : at+n]} }

// appendTo appends the bytes to b.
func (r raw) appendTo(b []byte) ([]byte, error) { return append(b, r.b...), nil }
