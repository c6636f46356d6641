package loader

import "encoding/binary"

// sumModule is a WebAssembly module with one function over the memory that it
// imports as env.memory: sum(at, n, out i32) stores laidSum of the n bytes
// at an address, at out. Its opcodes are those of the WebAssembly core
// specification, 5.4.
func sumModule() []byte {
	b := []byte("\x00asm\x01\x00\x00\x00")
	b = append(b, 1, 7, 1, 0x60, 3, 0x7f, 0x7f, 0x7f, 0)                // a type: (i32, i32, i32) -> ()
	b = append(append(b, 2, 15, 1), "\x03env\x06memory\x02\x00\x01"...) // the memory
	b = append(b, 3, 2, 1, 0)                                           // a function of that type
	b = append(append(b, 7, 7, 1), "\x03sum\x00\x00"...)                // exported
	body := append([]byte{1, 4, 0x7e}, sumBody()...)                    // four i64: locals 3 to 6
	body = append(uleb(nil, uint64(len(body))), body...)                //
	return append(append(append(b, 10), uleb(nil, uint64(len(body)+1))...), append([]byte{1}, body...)...)
}

func sumBody() []byte {
	const (
		at, n, out, h0                    = 0, 1, 2, 3
		get, set                          = 0x20, 0x21
		i32Const, i64Const                = 0x41, 0x42
		i64Load, i64Store, i64Load8       = 0x29, 0x37, 0x31
		i32Add, i32Sub                    = 0x6a, 0x6b
		i64Mul, i64Xor, i64Shr, i64Rotl   = 0x7e, 0x85, 0x88, 0x89
		i64ExtendU, i32LtU, i32Eqz        = 0xad, 0x49, 0x45
		block, loop, br, brIf, end, empty = 0x02, 0x03, 0x0c, 0x0d, 0x0b, 0x40
	)
	var c []byte
	op := func(ops ...byte) { c = append(c, ops...) }
	long := func(v uint64) { c = sleb(append(c, i64Const), int64(v)) }
	// mix ends h = rotl(h ^ (what is on the stack), 29) * sumPrime.
	mix := func(h byte) {
		op(i64Xor)
		long(29)
		op(i64Rotl)
		long(sumPrime)
		op(i64Mul, set, h)
	}
	// while runs body as long as n is at least least, and moves on by as much.
	while := func(least byte, body func()) {
		op(block, empty, loop, empty, get, n, i32Const, least, i32LtU, brIf, 1)
		body()
		op(get, at, i32Const, least, i32Add, set, at, get, n, i32Const, least, i32Sub, set, n, br, 0, end, end)
	}
	op(get, n, i64ExtendU, set, h0)
	for i, v := range sumStart {
		long(v)
		op(set, h0+1+byte(i))
	}
	while(32, func() {
		for i := range byte(4) {
			op(get, h0+i, get, at, i64Load, 0, 8*i)
			mix(h0 + i)
		}
	})
	while(1, func() {
		op(get, h0, get, at, i64Load8, 0, 0)
		mix(h0)
	})
	for i := range byte(3) {
		op(get, h0, get, h0+1+i)
		long(32)
		op(i64Shr, i64Xor, get, h0+1+i)
		mix(h0)
	}
	op(get, out, get, h0, get, h0)
	long(31)
	op(i64Shr, i64Xor, i64Store, 0, 0, end)
	return c
}

// uleb and sleb append a number in LEB128, unsigned and signed.
func uleb(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }

func sleb(b []byte, n int64) []byte {
	for {
		c := byte(n & 0x7f)
		n >>= 7
		if n == 0 && c&0x40 == 0 || n == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
