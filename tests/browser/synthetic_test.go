//go:build browser

package browser_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wisp/loader/safetensors"
)

// tensor is one to be written to a checkpoint.
type tensor struct {
	name, dtype string
	shape       []int
	size        int64
	data        io.Reader
}

// writeCheckpoint writes a safetensors file.
func writeCheckpoint(t *testing.T, name string, tensors []tensor) {
	t.Helper()
	header, at := map[string]any{}, int64(0)
	for _, x := range tensors {
		header[x.name] = map[string]any{"dtype": x.dtype, "shape": x.shape, "data_offsets": []int64{at, at + x.size}}
		at += x.size
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	binary.Write(w, binary.LittleEndian, uint64(len(text)))
	w.Write(text)
	for _, x := range tensors {
		if n, err := io.Copy(w, x.data); err != nil || n != x.size {
			t.Fatalf("%s: %d of %d bytes: %v", x.name, n, x.size, err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// readCheckpoint reads one, under the names that rename gives; "" leaves out.
func readCheckpoint(t *testing.T, name string, rename func(string) string) (tensors []tensor) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Parse(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range f.Tensors {
		if to := rename(x.Name); to != "" {
			tensors = append(tensors, tensor{to, x.DType, x.Shape, x.Size, f.Section(x)})
		}
	}
	return tensors
}

// weights is noise without end, of which no 4 MiB are like others: half floats
// of a Gaussian's exponents.
type weights struct {
	block []byte
	n     uint64
}

func newWeights() *weights {
	rng := rand.New(rand.NewPCG(1, 2))
	w := &weights{block: make([]byte, 1<<15)}
	for i := 0; i < len(w.block); i += 2 {
		w.block[i], w.block[i+1] = byte(rng.Uint32()), 0x20+byte(rng.Uint32N(4))|byte(rng.Uint32N(2))<<7
	}
	return w
}

// Read shifts the bytes of the block by what was read before.
func (w *weights) Read(p []byte) (int, error) {
	w.n++
	key := byte(w.n*37) | 1
	n := copy(p, w.block)
	for i := 0; i < n; i += 2 {
		p[i] = p[i]*key + byte(w.n>>8)
	}
	return n, nil
}

// syntheticModel is the tiny pipeline with so many MiB of half floats more in
// its UNet.
func syntheticModel(t *testing.T, mib int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "synthetic")
	if err := os.CopyFS(dir, os.DirFS(tiny)); err != nil {
		t.Fatal(err)
	}
	unet := filepath.Join(dir, "unet", "diffusion_pytorch_model.safetensors")
	tensors := readCheckpoint(t, unet, func(name string) string { return name })
	noise := newWeights()
	for i := range 4 {
		size := int64(mib) << 18
		tensors = append(tensors, tensor{"zz." + string('a'+rune(i)) + ".weight", "F16", []int{mib << 7, 1 << 10}, size, io.LimitReader(noise, size)})
	}
	writeCheckpoint(t, unet, tensors)
	return dir
}

// ldmUNet has the names that the tiny UNet's layers have in a single-file
// checkpoint.
var ldmUNet = strings.NewReplacer(
	"conv_in.", "input_blocks.0.0.", "time_embedding.linear_1.", "time_embed.0.", "time_embedding.linear_2.", "time_embed.2.",
	"down_blocks.0.resnets.0.", "input_blocks.1.0.", "down_blocks.0.attentions.0.", "input_blocks.1.1.",
	"down_blocks.0.downsamplers.0.conv.", "input_blocks.2.0.op.", "down_blocks.1.resnets.0.", "input_blocks.3.0.",
	"mid_block.resnets.0.", "middle_block.0.", "mid_block.attentions.0.", "middle_block.1.", "mid_block.resnets.1.", "middle_block.2.",
	"up_blocks.0.resnets.0.", "output_blocks.0.0.", "up_blocks.0.resnets.1.", "output_blocks.1.0.",
	"up_blocks.0.upsamplers.0.conv.", "output_blocks.1.1.conv.", "up_blocks.1.resnets.0.", "output_blocks.2.0.",
	"up_blocks.1.attentions.0.", "output_blocks.2.1.", "up_blocks.1.resnets.1.", "output_blocks.3.0.",
	"up_blocks.1.attentions.1.", "output_blocks.3.1.", "conv_norm_out.", "out.0.", "conv_out.", "out.2.")

// ldmResnet has those of the layers in a UNet's residual block.
var ldmResnet = strings.NewReplacer("norm1.", "in_layers.0.", "conv1.", "in_layers.2.", "time_emb_proj.", "emb_layers.1.",
	"norm2.", "out_layers.0.", "conv2.", "out_layers.3.", "conv_shortcut.", "skip_connection.")

// ldmVAE has those of the tiny autoencoder, which has three blocks.
var ldmVAE = strings.NewReplacer("mid_block.resnets.0.", "mid.block_1.", "mid_block.resnets.1.", "mid.block_2.", "mid_block.attentions.0.", "mid.attn_1.",
	"group_norm.", "norm.", "to_q.", "q.", "to_k.", "k.", "to_v.", "v.", "to_out.0.", "proj_out.", "conv_norm_out.", "norm_out.", "conv_shortcut.", "nin_shortcut.",
	"down_blocks.", "down.", "up_blocks.0.", "up.2.", "up_blocks.1.", "up.1.", "up_blocks.2.", "up.0.",
	"downsamplers.0.", "downsample.", "upsamplers.0.", "upsample.", "resnets.", "block.")

var inResnet = regexp.MustCompile(`\.resnets\.`)

// singleFile writes the tiny pipeline as a single-file checkpoint, and its
// configs and tokenizer to a folder beside it.
func singleFile(t *testing.T) (file, configs string) {
	t.Helper()
	dir := t.TempDir()
	file, configs = filepath.Join(dir, "tiny.safetensors"), filepath.Join(dir, "configs")
	if err := os.CopyFS(configs, os.DirFS(tiny)); err != nil {
		t.Fatal(err)
	}
	var all []tensor
	for component, rename := range map[string]func(string) string{
		"text_encoder/model": func(name string) string {
			return "cond_stage_model.transformer.text_model." + strings.TrimPrefix(name, "text_model.")
		},
		"unet/diffusion_pytorch_model": func(name string) string {
			to := ldmUNet.Replace(name)
			if inResnet.MatchString(name) {
				to = ldmResnet.Replace(to)
			}
			return "model.diffusion_model." + to
		},
		"vae/diffusion_pytorch_model": func(name string) string { return "first_stage_model." + ldmVAE.Replace(name) },
	} {
		weights := filepath.Join(configs, filepath.FromSlash(component+".safetensors"))
		all = append(all, readCheckpoint(t, weights, rename)...)
		if err := os.Remove(weights); err != nil {
			t.Fatal(err)
		}
	}
	writeCheckpoint(t, file, all)
	if len(all) < 100 {
		t.Fatalf("%d tensors", len(all))
	}
	return file, configs
}
