package simd

// killThread ends a thread of the pool at once, as a browser short of memory may.
func killThread(b *backend) { b.host.(*jsHost).workers[0].Call("terminate") }
