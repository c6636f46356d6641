//go:build !js

package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"wisp/engine/diffusion"
	"wisp/loader/adapter"
	"wisp/loader/pack"
	"wisp/loader/safetensors"
)

// loraFlag is a -lora flag's value: FILE, or FILE:WEIGHT.
type loraFlag struct {
	file   string
	weight float32
}

func parseLora(text string) (loraFlag, error) {
	l := loraFlag{text, 1}
	if at := strings.LastIndexByte(text, ':'); at > 0 {
		if w, err := strconv.ParseFloat(text[at+1:], 32); err == nil {
			l = loraFlag{text[:at], float32(w)}
		}
	}
	_, err := os.Stat(l.file)
	return l, err
}

// path is the LoRA's file, or that in the directory that PEFT saves one in.
func (l loraFlag) path() string {
	if info, err := os.Stat(l.file); err == nil && info.IsDir() {
		return filepath.Join(l.file, "adapter_model.safetensors")
	}
	return l.file
}

// open opens the LoRA.
func (l loraFlag) open() (*adapter.File, error) {
	name := l.path()
	dir, err := pack.OpenDir(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	config, err := fs.ReadFile(dir.FS(), "adapter_config.json")
	if err != nil && !errors.Is(err, fs.ErrNotExist) || filepath.Base(name) != "adapter_model.safetensors" {
		config = nil
	}
	base := filepath.Base(name)
	f, err := adapter.Open(base, func() (safetensors.Blob, error) { return dir.Open(base) }, config)
	if err != nil {
		return nil, err
	}
	if base == "adapter_model.safetensors" { // every one of PEFT's has that name
		if whole, err := filepath.Abs(name); err == nil {
			f.Rename(filepath.Base(filepath.Dir(whole)))
		}
	}
	return f, nil
}

// addLoras adds LoRAs to a pipeline and returns how a request wears them. What
// of them means nothing in the model is told.
func addLoras(ctx context.Context, p *diffusion.Pipeline, flags []loraFlag) (list []diffusion.Lora, err error) {
	for _, l := range flags {
		f, err := l.open()
		if err != nil {
			return nil, fmt.Errorf("-lora: %w", err)
		}
		a, err := p.AddAdapter(ctx, "", f)
		if err != nil {
			return nil, fmt.Errorf("-lora: %w", err)
		}
		if n := len(a.Unknown); n > 0 {
			fmt.Fprintf(os.Stderr, "wisp generate: %s: %d keys mean nothing in this model: %s\n", a.Name, n, shortList(a.Unknown, 5))
		}
		list = append(list, diffusion.Lora{ID: a.ID, Weight: l.weight})
	}
	return list, nil
}

// shortList names the first of a list, and how many more there are.
func shortList(list []string, most int) string {
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

// addEmbeddings teaches a pipeline the words of files of textual inversion.
func addEmbeddings(p *diffusion.Pipeline, files []string) error {
	for _, name := range files {
		dir, err := pack.OpenDir(filepath.Dir(name))
		if err != nil {
			return fmt.Errorf("-embedding: %w", err)
		}
		base := filepath.Base(name)
		e, err := adapter.OpenEmbedding(base, func() (safetensors.Blob, error) { return dir.Open(base) })
		dir.Close()
		if err == nil {
			err = p.AddEmbedding(diffusion.Embedding(e))
		}
		if err != nil {
			return fmt.Errorf("-embedding: %w", err)
		}
	}
	return nil
}
