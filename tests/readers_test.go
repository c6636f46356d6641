//go:build !js

package tests

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wisp/engine/model"
	"wisp/engine/sampler"
	"wisp/engine/token"
	"wisp/loader"
	"wisp/loader/adapter"
	"wisp/loader/gguf"
	"wisp/loader/network"
	"wisp/loader/pack"
	"wisp/loader/safetensors"
	"wisp/loader/single"
	"wisp/loader/upscaler"
	"wisp/tests/attack/row"
)

// bounds is something that reads from outside, and an input of n parts for it.
type bounds struct {
	name string
	make func(n int) []byte
	read func(t *testing.T, input []byte) error
	bad  bool // it is to be refused
}

// list joins n parts that a function makes of their numbers.
func list(n int, part func(i int) string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(part(i))
	}
	return b.String()
}

func parseManifest(_ *testing.T, b []byte) error { _, err := loader.ParseManifest(b); return err }

// manifestOf is a manifest of n chunks of two bytes and n tensors, one each.
func manifestOf(n int) *loader.Manifest {
	m := &loader.Manifest{Format: "wisp", Version: 1, Components: map[string]loader.Component{"unet": {Class: "A"}}}
	for i := range n {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		m.Chunks = append(m.Chunks, loader.Chunk{SHA256: fmt.Sprintf("%x", sum), Stored: 2, Raw: 2, Encoding: "raw"})
		m.Tensors = append(m.Tensors, loader.TensorInfo{Component: "unet", Name: fmt.Sprint("w", i), DType: "f16", Shape: []int{1}, Place: loader.Place{Chunk: i, Length: 2}})
	}
	return m
}

func encoded(m *loader.Manifest) []byte {
	b, err := m.Encode()
	if err != nil {
		panic(err)
	}
	return b
}

const manifestHead = `{"format":"wisp","version":1,"components":{"a":{"class":"A"}},`

// inMemory opens files by name.
type inMemory map[string][]byte

type memoryBlob struct{ *bytes.Reader }

func (memoryBlob) Close() error { return nil }

func (m inMemory) Open(name string) (safetensors.Blob, error) {
	b, ok := m[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return memoryBlob{bytes.NewReader(b)}, nil
}

func (m inMemory) opener(name string) func() (safetensors.Blob, error) {
	return func() (safetensors.Blob, error) { return m.Open(name) }
}

func (m inMemory) List(folder string) (names []string, err error) {
	for name := range m {
		if dir, base, ok := strings.Cut(name, "/"); ok && dir == folder {
			names = append(names, base)
		} else if !ok && folder == "" {
			names = append(names, name)
		}
	}
	return names, nil
}

func safetensorsOf(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

// header lists n tensors of a byte.
func header(n int) []byte {
	return safetensorsOf("{"+list(n, func(i int) string {
		return fmt.Sprintf(`"t%d":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}`, i, i, i+1)
	})+"}", n)
}

func object(n int) []byte {
	return []byte("{" + list(n, func(i int) string { return fmt.Sprintf(`"key%d":[%d,"x"]`, i, i) }) + "}")
}

// drafted writes a model of a manifest's chunks into a library, and removes it.
func drafted(t *testing.T, b []byte) error {
	m, err := loader.ParseManifest(b)
	if err != nil {
		return err
	}
	library := loader.NewLibrary(&loader.Memory{})
	draft, err := library.Draft(t.Context())
	for _, c := range m.Chunks {
		if err == nil {
			err = draft.Write(t.Context(), c.File(), []byte{1, 2})
		}
	}
	if err == nil {
		err = draft.Write(context.Background(), loader.ManifestName, b)
	}
	if err == nil {
		err = library.Remove(t.Context(), draft.ID())
	}
	return err
}

var bounded = []bounds{
	{name: "manifest", make: func(n int) []byte { return encoded(manifestOf(n)) }, read: parseManifest},
	{name: "manifest, empty rows", bad: true, read: parseManifest, make: func(n int) []byte {
		return []byte(manifestHead + `"tensors":[` + list(40*n, func(int) string { return "{}" }) + "]}")
	}},
	{name: "manifest, all tensors claim all", bad: true, read: parseManifest, make: func(n int) []byte {
		m := manifestOf(n)
		for i := range m.Tensors {
			m.Tensors[i].Encoding, m.Tensors[i].Shape, m.Tensors[i].Place = "planes", []int{n}, loader.Place{Length: int64(2 * n)}
		}
		return encoded(m)
	}},
	{name: "manifest, a large config", read: parseManifest, make: func(n int) []byte {
		m := manifestOf(1)
		m.Components["unet"] = loader.Component{Class: "A", Config: object(4 * n)}
		return encoded(m)
	}},
	{name: "library", make: func(n int) []byte { return encoded(manifestOf(n)) }, read: drafted},
	{name: "safetensors header", make: header, read: func(_ *testing.T, b []byte) error {
		_, err := safetensors.Parse(bytes.NewReader(b), int64(len(b)))
		return err
	}},
	{name: "safetensors header, unknown keys", bad: true, make: func(n int) []byte {
		return safetensorsOf(`{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":`+string(object(4*n))+`,"dtype":"U8"}}`, 1)
	}, read: func(_ *testing.T, b []byte) error {
		_, err := safetensors.Parse(bytes.NewReader(b), int64(len(b)))
		return err
	}},
	{name: "index of shards", make: func(n int) []byte {
		index := `{"weight_map":{` + list(n, func(i int) string { return fmt.Sprintf(`"t%d":"a.safetensors"`, i) }) + "}}"
		return append(append([]byte(index), 0), header(n)...)
	}, read: func(_ *testing.T, b []byte) error {
		index, file, _ := bytes.Cut(b, []byte{0})
		_, err := safetensors.OpenSet("m.safetensors.index.json", inMemory{"m.safetensors.index.json": index, "a.safetensors": file}.Open)
		return err
	}},
	{name: "chunk", make: func(n int) []byte { return bytes.Repeat([]byte("a chunk of words that repeat, "), 3*n) }, read: func(_ *testing.T, raw []byte) error {
		stored, encoding, err := loader.EncodeChunk(raw)
		if err == nil {
			_, err = loader.DecodeChunk(loader.Chunk{Raw: int64(len(raw)), Encoding: encoding}, stored, nil)
		}
		return err
	}},
	{name: "configs to be packed", make: func(n int) []byte { return object(4 * n) }, read: func(_ *testing.T, b []byte) error {
		in := inMemory{"model_index.json": []byte(`{"_class_name":"P","scheduler":["diffusers","S"]}`), "scheduler/scheduler_config.json": b}
		_, err := pack.NewPlan(in, pack.Options{})
		return err
	}},
	{name: "scheduler_config.json", make: func(n int) []byte {
		return append([]byte(`{"_class_name":"EulerDiscreteScheduler",`), object(4 * n)[1:]...)
	}, read: func(_ *testing.T, b []byte) error { _, err := sampler.ParseConfig(b); return err }},
	{name: "config.json of a text encoder", make: func(n int) []byte {
		return append([]byte(`{"architectures":["CLIPTextModel"],`), object(4 * n)[1:]...)
	}, read: func(_ *testing.T, b []byte) error { _, err := model.ReadText(b); return err }},
	{name: "vocab.json and merges.txt of bytes", make: func(n int) []byte {
		vocab, merges, _ := bytes.Cut(vocabulary(n), []byte("\x00"))
		return slices.Concat([]byte("{"+list(256, func(i int) string { return fmt.Sprintf("%q:%d", letterOf(i), 1_000_000+i) })+","), vocab[1:], []byte{0}, merges)
	}, read: func(_ *testing.T, b []byte) error {
		vocab, merges, _ := bytes.Cut(b, []byte("\x00"))
		_, err := token.NewByteLevel(vocab, merges, token.Options{})
		return err
	}},
	{name: "tokenizer.json of pieces", make: func(n int) []byte {
		return []byte(`{"model":{"type":"Unigram","unk_id":2,"vocab":[["<pad>",0],["</s>",0],["<unk>",0],` +
			list(4*n, func(i int) string { return fmt.Sprintf(`["\u2581piece%d",-%d.5]`, i, i%30) }) + "]}}")
	}, read: func(_ *testing.T, b []byte) error {
		_, err := token.NewUnigram(token.UnigramFiles{Tokenizer: b})
		return err
	}},
	{name: "prompt of words", make: func(n int) []byte { return bytes.Repeat([]byte("a0 of b1, (c2)"), 3*n) }, read: func(_ *testing.T, b []byte) error {
		c, err := ofWords()
		if err == nil {
			c.Encode(string(b))
		}
		return err
	}},
	{name: "single-file checkpoint", make: func(n int) []byte {
		return safetensorsOf("{"+list(n, func(i int) string {
			return fmt.Sprintf(`"model.diffusion_model.input_blocks.%d.0.weight":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}`, i, i, i+1)
		})+"}", n)
	}, bad: true, read: func(_ *testing.T, b []byte) error {
		m, err := single.Open([]single.File{{Name: "a.safetensors", Open: inMemory{"a.safetensors": b}.opener("a.safetensors")}}, nil)
		if err == nil {
			m.Close()
		}
		return err
	}},
	{name: "GGUF, lists of metadata", make: func(n int) []byte {
		w := &ggufWriter{}
		w.head(0, 4)
		w.list("bytes", 0, 20*n, func(int) { w.ints(1, 7) })
		w.list("numbers", 5, 5*n, func(i int) { w.ints(4, uint64(i)) })
		w.list("floats", 6, 5*n, func(i int) { w.ints(4, uint64(i)) })
		w.list("tokens", 8, 2*n, func(i int) { w.text(fmt.Sprint("token", i)) })
		return w.Bytes()
	}, read: parseGGUF},
	{name: "GGUF, keys and tensors", make: func(n int) []byte {
		w := &ggufWriter{}
		w.head(n, 2*n)
		for i := range 2 * n {
			w.text(fmt.Sprint("key", i))
			w.ints(4, 4)
			w.ints(4, uint64(i))
		}
		for i := range n {
			w.text(fmt.Sprintf("blk.%d.attn_q.weight", i))
			w.ints(4, 1)
			w.ints(8, 1)
			w.ints(4, 0)
			w.ints(8, uint64(32*i))
		}
		return append(w.Bytes(), make([]byte, 32*n+32)...)
	}, read: parseGGUF},
	{name: "adapter", make: func(n int) []byte {
		settings := `{"unet.r":4,"unet.lora_alpha":4,"unet.alpha_pattern":{` + list(n, func(i int) string { return fmt.Sprintf(`"m%d":2`, i) }) + "}}"
		return safetensorsOf(`{"__metadata__":{"lora_adapter_metadata":`+string(quoted(settings))+"},"+list(n, func(i int) string {
			return fmt.Sprintf(`"unet.b.m%d.lora_A.weight":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}`, i, i, i+1)
		})+"}", n)
	}, read: func(_ *testing.T, b []byte) error {
		f, err := adapter.Open("a.safetensors", inMemory{"a.safetensors": b}.opener("a.safetensors"), nil)
		if err == nil {
			_, err = f.Parts(adapter.Targets{"unet": {"b.m7.weight": {1, 1}, "scalar.weight": nil}}, func(_, _, _, _ string, _ []int, read func() (string, []byte, error)) error {
				_, _, err := read()
				return err
			})
		}
		return err
	}},
	{name: "ControlNet's file", make: func(n int) []byte {
		return safetensorsOf("{"+list(n, func(i int) string {
			return fmt.Sprintf(`"input_hint_block.%d.weight":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]}`, 2*i, i, i+1)
		})+"}", n)
	}, read: func(_ *testing.T, b []byte) error {
		set, err := safetensors.OpenSet("a.safetensors", inMemory{"a.safetensors": b}.Open)
		if err == nil {
			_, err = network.Open(set, network.ControlNet)
		}
		return err
	}},
	{name: "model.json of an upscaler", make: func(n int) []byte {
		return []byte(`{"weightsManifest":[{"paths":["a.bin"],"weights":[` + list(n, func(i int) string {
			return fmt.Sprintf(`{"name":"layer%d/kernel","shape":[3,3,64,64],"dtype":"float32"}`, i)
		}) + "]}]}")
	}, bad: true, read: func(_ *testing.T, b []byte) error {
		_, err := upscaler.Open("model.json", inMemory{"model.json": b, "a.bin": nil}.Open)
		return err
	}},
	{name: "config.json of a UNet", make: func(n int) []byte {
		return append([]byte(`{"_class_name":"UNet2DConditionModel",`), object(4 * n)[1:]...)
	}, read: func(_ *testing.T, b []byte) error { _, err := model.ReadUNet(b); return err }},
	{name: "vocab.json and merges.txt", make: vocabulary, read: func(_ *testing.T, b []byte) error {
		vocab, merges, _ := bytes.Cut(b, []byte("\x00"))
		_, err := token.NewCLIP(vocab, merges, token.Options{})
		return err
	}},
}

func parseGGUF(_ *testing.T, b []byte) error {
	_, err := gguf.Parse(bytes.NewReader(b), int64(len(b)))
	return err
}

// ggufWriter writes a GGUF file.
type ggufWriter struct{ bytes.Buffer }

func (w *ggufWriter) ints(width int, v uint64) {
	w.Write(binary.LittleEndian.AppendUint64(nil, v)[:width])
}

func (w *ggufWriter) text(s string) {
	w.ints(8, uint64(len(s)))
	w.WriteString(s)
}

func (w *ggufWriter) head(tensors, keys int) {
	w.WriteString(gguf.Magic)
	w.ints(4, 3)
	w.ints(8, uint64(tensors))
	w.ints(8, uint64(keys))
}

func (w *ggufWriter) list(key string, kind, n int, each func(i int)) {
	w.text(key)
	w.ints(4, 9)
	w.ints(4, uint64(kind))
	w.ints(8, uint64(n))
	for i := range n {
		each(i)
	}
}

func quoted(text string) []byte {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return b
}

// ofWords is a tokenizer of some hundred tokens.
var ofWords = sync.OnceValues(func() (*token.CLIP, error) {
	vocab, merges, _ := bytes.Cut(vocabulary(100), []byte("\x00"))
	return token.NewCLIP(vocab, merges, token.Options{})
})

// letterOf is the letter that stands for a byte in vocabularies of bytes.
func letterOf(b int) string {
	if b > ' ' && b < 127 {
		return string(rune(b))
	}
	hidden := 0
	for i := range b {
		if i <= ' ' || i >= 127 && i <= 160 || i == 173 {
			hidden++
		}
	}
	if b > 160 && b != 173 {
		return string(rune(b))
	}
	return string(rune(256 + hidden))
}

// vocabulary is a tokenizer of some thousand tokens, and a byte 0 between its
// two files.
func vocabulary(n int) []byte {
	ids := map[string]int{"<|startoftext|>": 0, "<|endoftext|>": 1}
	merges := []string{"#version: 0.2"}
	for i := range 4 * n {
		a, b := string(rune('a'+i%26)), fmt.Sprint(i)
		merges = append(merges, a+" "+b)
		ids[a+b] = len(ids)
		ids[b] = len(ids)
		ids[a] = i % 26
	}
	b, err := json.Marshal(ids)
	if err != nil {
		panic(err)
	}
	return append(append(b, 0), strings.Join(merges, "\n")...)
}

// cost reads an input and tells the shortest time of three, and the bytes that
// were allocated in all, those that were freed at once included.
func (p bounds) cost(t *testing.T, input []byte) (time.Duration, uint64) {
	var best time.Duration
	var least uint64
	var before, after runtime.MemStats
	for i := range 3 {
		runtime.ReadMemStats(&before)
		start := cpuTime()
		err := p.read(t, input)
		took := cpuTime() - start
		runtime.ReadMemStats(&after)
		if (err != nil) != p.bad {
			t.Fatalf("%s: %v", p.name, err)
		}
		spent := after.TotalAlloc - before.TotalAlloc
		if i == 0 {
			best, least = took, spent
		}
		best, least = min(best, took), min(least, spent) // pools are filled anew now and then
	}
	return best, least
}

// TestReadersAreLinear prints what each reader takes of inputs of 1, 10 and
// 100 times a size. Its memory, all that it ever allocates, stays within 20
// times the input and in proportion; so does its time, within a factor of two.
func TestReadersAreLinear(t *testing.T) {
	const floor = 64 << 10 // what any reader may take for itself
	for _, p := range bounded {
		var sizes [3]int
		var times [3]time.Duration
		var bytes [3]uint64
		for i, n := range []int{100, 1000, 10_000} {
			input := p.make(n)
			sizes[i] = len(input)
			times[i], bytes[i] = p.cost(t, input)
			if bytes[i] > 20*uint64(len(input))+floor {
				t.Errorf("%s: %d bytes of input take %d bytes of memory", p.name, len(input), bytes[i])
			}
		}
		t.Logf("%-34s %8d %8d %8d bytes | ns/byte %6.1f %6.1f %6.1f | memory/byte %4.1f %4.1f %4.1f", p.name, sizes[0], sizes[1], sizes[2],
			ratio(times[0], time.Duration(sizes[0])), ratio(times[1], time.Duration(sizes[1])), ratio(times[2], time.Duration(sizes[2])),
			ratio(bytes[0], uint64(sizes[0])), ratio(bytes[1], uint64(sizes[1])), ratio(bytes[2], uint64(sizes[2])))
		grown := ratio(sizes[2], sizes[1])
		r := row.Row{Case: "in proportion: " + p.name, Tried: 3}
		if bytes[2] > uint64(2*grown*float64(bytes[1]+floor)) {
			t.Errorf("%s: the input grew %.1f times, the memory from %d to %d bytes", p.name, grown, bytes[1], bytes[2])
		}
		slow := func() bool { return times[2] > time.Duration(2*grown)*max(times[1], time.Millisecond) }
		for try := 0; slow() && try < 5; try++ { // another program may have had the processor's caches
			again, _ := p.cost(t, p.make(10_000))
			times[2] = min(times[2], again)
		}
		if slow() {
			t.Errorf("%s: the input grew %.1f times, the time from %v to %v", p.name, grown, times[1], times[2])
		} else {
			r.Held = 3
		}
		r.Note = fmt.Sprintf("%d kB, a byte of it: %.0f, %.0f, %.0f ns, %.1f bytes", sizes[2]>>10,
			ratio(times[0], time.Duration(sizes[0])), ratio(times[1], time.Duration(sizes[1])), ratio(times[2], time.Duration(sizes[2])), ratio(bytes[2], uint64(sizes[2])))
		r.Print()
	}
}

func ratio[T int | uint64 | time.Duration](a, b T) float64 { return float64(a) / float64(max(b, 1)) }
