package site

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A stripped program has the memory that it had but for lines and files: what
// the runtime walks stacks by is the same for each function.
func TestStrip(t *testing.T) {
	program, version := goProgram(t)
	stripped, err := strip(program, version)
	if err != nil {
		t.Fatal(err)
	}
	start, before := dataOf(t, program)
	startAfter, after := dataOf(t, stripped)
	if start != startAfter || len(before) != len(after) {
		t.Fatalf("%d bytes at %d became %d at %d", len(before), start, len(after), startAfter)
	}
	was, ok := findTables(before)
	if !ok {
		t.Fatalf("%s: the tables of functions are not as known: see lines.go", version)
	}
	is, _ := findTables(after)
	for i := range was.count {
		a, b := was.record(i), is.record(i)
		if !bytes.Equal(a[:20], b[:20]) || !bytes.Equal(a[28:32], b[28:32]) || len(a) != len(b) {
			t.Fatalf("function %d: % x became % x", i, a, b)
		}
		if place := binary.LittleEndian.Uint64(b[20:]); place != 0 {
			t.Fatalf("function %d has lines still, at %d", i, place)
		}
		for _, at := range []int{16, recordBytes + 4, recordBytes + 8} { // sizes of frames, maps of pointers, inlined calls
			if at+4 > len(a) {
				continue
			}
			place := binary.LittleEndian.Uint32(a[at:])
			n := was.extent(place)
			if place != binary.LittleEndian.Uint32(b[at:]) || place > 0 && !bytes.Equal(was.values[place:int(place)+n], is.values[place:int(place)+n]) {
				t.Fatalf("function %d: the values at %d differ", i, place)
			}
		}
	}
	records := bytes.Index(before, []byte(headerMagic))
	if !bytes.Equal(before[:records+72], after[:records+72]) {
		t.Error("what lies before the tables differs")
	}
	if a, b := len(brotlied(program, 5)), len(brotlied(stripped, 5)); b > a*9/10 {
		t.Errorf("%d bytes compressed, %d before", b, a)
	}
	other, err := strip(program, "go1.99")
	if err != nil {
		t.Fatal(err)
	}
	if _, same := dataOf(t, other); !bytes.Equal(same, before) {
		t.Error("the tables of a version that is not known were changed")
	}
}

// Bytes that are no program, or end early, are refused.
func TestStripRefuses(t *testing.T) {
	data := []byte("\x00asm\x01\x00\x00\x00\x0b\x09\x01\x00\x41\x05\x0b\x03abc")
	if _, err := strip(data, "go1.26"); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "<!doctype html>", string(data[:len(data)-1]), "\x00asm\x01\x00\x00\x00\x0b\x01\x00",
		strings.Replace(string(data), "\x41\x05", "\x23\x05", 1), strings.Replace(string(data), "\x03abc", "\x04abc", 1)} {
		if _, err := strip([]byte(bad), "go1.26"); err == nil {
			t.Errorf("%q was stripped", bad)
		}
	}
}

// goProgram builds a program for the web.
func goProgram(t *testing.T) (program []byte, version string) {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"hello\") }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, "main.wasm"), source)
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	program, err := os.ReadFile(filepath.Join(dir, "main.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	tool, err := exec.Command("go", "env", "GOVERSION").Output()
	if err != nil {
		t.Fatal(err)
	}
	return program, strings.TrimSpace(string(tool))
}

// dataOf gives a program's memory as it starts.
func dataOf(t *testing.T, program []byte) (int, []byte) {
	t.Helper()
	for rest := program[8:]; len(rest) > 0; {
		r := wasmReader{rest: rest[1:]}
		body := r.bytes(r.number())
		if rest[0] == 11 {
			start, memory, err := memoryOf(body)
			if err != nil {
				t.Fatal(err)
			}
			return start, memory
		}
		rest = r.rest
	}
	t.Fatal("no data")
	return 0, nil
}
