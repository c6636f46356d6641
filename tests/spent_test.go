//go:build !js

package tests

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"wisp/loader/adapter"
	"wisp/loader/safetensors"
	"wisp/loader/upscaler"
)

// Settings of many layers over many layers take time in proportion, and of two
// patterns that name a layer the longer counts, every time.
func TestAdapterPatterns(t *testing.T) {
	const n = 20_000
	targets := adapter.Targets{"unet": {}}
	for i := range n {
		targets["unet"][fmt.Sprintf("b.m%d.weight", i)] = []int{1, 1}
	}
	settings := `{"unet.r":1,"unet.lora_alpha":4,"unet.alpha_pattern":{"b.m7":3,` + list(n, func(i int) string { return fmt.Sprintf(`"m%d":2`, i) }) + "}}"
	b := safetensorsOf(`{"__metadata__":{"lora_adapter_metadata":`+string(quoted(settings))+"},"+list(n, func(i int) string {
		return fmt.Sprintf(`"unet.b.m%d.lora_A.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[%d,%d]}`, i, 4*i, 4*i+4)
	})+"}", 4*n)
	f, err := adapter.Open("a.safetensors", inMemory{"a.safetensors": b}.opener("a.safetensors"), nil)
	if err != nil {
		t.Fatal(err)
	}
	alphas := map[float32]int{}
	began := cpuTime()
	_, err = f.Parts(targets, func(_, weight, part, _ string, _ []int, read func() (string, []byte, error)) error {
		_, data, err := read()
		if part == "alpha" {
			v := math.Float32frombits(binary.LittleEndian.Uint32(data))
			alphas[v]++
			if (v == 3) != (weight == "b.m7.weight") {
				t.Errorf("the alpha of %s is %v", weight, v)
			}
		}
		return err
	})
	if took := cpuTime() - began; err != nil || took > 2*time.Second || alphas[2] != n-1 || alphas[3] != 1 {
		t.Errorf("%v, %v, alphas %v", took, err, alphas)
	}
}

// A list that names one file again and again is refused before that is read
// beyond the budget of all weights.
func TestUpscalerNamesAFileAgain(t *testing.T) {
	const size = 90 << 20
	text := `{"weightsManifest":[` + list(1000, func(i int) string {
		return fmt.Sprintf(`{"paths":["a.bin"],"weights":[{"name":"w%d","shape":[%d],"dtype":"float32"}]}`, i, size/4)
	}) + "]}"
	opened := 0
	_, err := upscaler.Open("model.json", func(name string) (safetensors.Blob, error) {
		if name == "model.json" {
			return memory{bytes.NewReader([]byte(text))}, nil
		}
		opened++
		return zeros(size), nil
	})
	if !errors.Is(err, upscaler.ErrFile) || opened > 3 {
		t.Errorf("after %d times: %v", opened, err)
	}
}

// zeros is a file of so many.
type zeros int64

func (z zeros) Size() int64  { return int64(z) }
func (z zeros) Close() error { return nil }
func (z zeros) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	return len(p), nil
}
