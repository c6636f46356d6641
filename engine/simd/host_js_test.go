package simd

// killThread ends a thread of the pool at once, as a browser short of memory
// may, the next one at each call.
func killThread(b *backend) {
	h := b.host.(*jsHost)
	h.workers[0].Call("terminate")
	h.workers = append(h.workers[1:], h.workers[0])
}
