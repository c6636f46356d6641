package site

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// strip rewrites a Go program for the web so that it compresses better, by an
// eighth, and does the same: its memory in one piece for each long run of
// zeros, where Go's linker writes up to 100,000; and, if this version's tables are
// known, without what only says the file and line of a call. A stack trace
// names functions and offsets still.
func strip(program []byte, version string) ([]byte, error) {
	const header, data = 8, 11 // bytes of magic and version; the id of the data section
	if len(program) < header || string(program[:4]) != "\x00asm" {
		return nil, errors.New("site: strip: not a program of WebAssembly")
	}
	out, rest := slices.Clone(program[:header]), program[header:]
	for len(rest) > 0 {
		r := wasmReader{rest: rest[1:]}
		body := r.bytes(r.number())
		if r.failed {
			return nil, errors.New("site: strip: a section ends beyond the program")
		}
		id := rest[0]
		if rest = r.rest; id == data {
			start, memory, err := memoryOf(body)
			if err != nil {
				return nil, err
			}
			if strings.HasPrefix(version, "go1.26") {
				clearLines(memory)
			}
			body = segments(start, memory)
		}
		out = binary.AppendUvarint(append(out, id), uint64(len(body)))
		out = append(out, body...)
	}
	return out, nil
}

// stripFile strips the program in a file.
func stripFile(name, version string) error {
	program, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("site: strip: %w", err)
	}
	if program, err = strip(program, version); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return os.WriteFile(name, program, 0o644)
}

// wasmReader reads numbers and bytes from the front; failed at the end.
type wasmReader struct {
	rest   []byte
	failed bool
}

// number reads an unsigned LEB128 number of at most 32 bits.
func (r *wasmReader) number() int {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > 1<<32-1 {
		r.failed = true
		return 0
	}
	r.rest = r.rest[n:]
	return int(v)
}

func (r *wasmReader) bytes(n int) []byte {
	if r.failed || n > len(r.rest) {
		r.failed = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// i32Const and end are the instructions that give a segment its address.
const i32Const, end = 0x41, 0x0b

// segment is bytes of memory at an address.
type segment struct {
	at   int
	data []byte
}

// memoryOf lays the segments of a data section out, from the lowest address on.
func memoryOf(section []byte) (start int, memory []byte, err error) {
	const most = 1 << 26 // bytes
	r := wasmReader{rest: section}
	var all []segment
	for i := range r.number() {
		head := r.bytes(2)
		at := r.number() // signed in the format: a positive one differs in nothing that is read here
		stop := r.bytes(1)
		data := r.bytes(r.number())
		if r.failed || head[0] != 0 || head[1] != i32Const || stop[0] != end || at+len(data) > most {
			return 0, nil, fmt.Errorf("site: strip: segment %d of the data is not as Go's linker writes it", i)
		}
		all = append(all, segment{at, data})
	}
	if len(all) == 0 {
		return 0, nil, errors.New("site: strip: no data")
	}
	slices.SortFunc(all, func(a, b segment) int { return cmp.Compare(a.at, b.at) })
	start = all[0].at
	for _, s := range all {
		gap := s.at - start - len(memory)
		if gap < 0 {
			return 0, nil, fmt.Errorf("site: strip: data lies twice at %d", s.at)
		}
		memory = append(append(memory, make([]byte, gap)...), s.data...)
	}
	return start, memory, nil
}

// segments writes a data section, leaving out runs of 4096 zeros and more: a
// compressor takes shorter ones in fewer bytes than an address.
func segments(start int, memory []byte) []byte {
	const run = 4096
	count, out := 0, []byte(nil)
	for at := 0; at < len(memory); {
		if memory[at] == 0 {
			at++
			continue
		}
		data := memory[at:]
		if i := bytes.Index(data, make([]byte, run)); i >= 0 {
			data = data[:i]
		}
		count++
		out = appendAddress(append(out, 0, i32Const), start+at)
		out = binary.AppendUvarint(append(out, end), uint64(len(data)))
		out = append(out, data...)
		at += len(data)
	}
	return append(binary.AppendUvarint(nil, uint64(count)), out...)
}

// appendAddress appends a signed LEB128 number: its last byte's bit of sign is 0.
func appendAddress(b []byte, at int) []byte {
	b = binary.AppendUvarint(b, uint64(at))
	if last := &b[len(b)-1]; *last&0x40 != 0 {
		*last |= 0x80
		b = append(b, 0)
	}
	return b
}
