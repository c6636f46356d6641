package single

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"wisp/loader/safetensors"
)

// Notes tell what was recognised, and what was left out.
func (m *Model) Notes() []string { return m.notes }

// Checkpoints names the files that the weights come from.
func (m *Model) Checkpoints() (names []string) {
	for _, f := range m.files {
		if isCheckpoint(f.Name) {
			names = append(names, checkpoint+f.Name)
		}
	}
	return append(names, m.others...)
}

// Checkpoint is the file with the denoiser, which the model is named after.
func (m *Model) Checkpoint() string { return m.checkpoint }

// tokenizerFiles are what a tokenizer comes in.
var tokenizerFiles = []string{"spiece.model", "tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"}

// Wanted reports whether Open takes files of that name.
func Wanted(name string) bool {
	return isCheckpoint(name) || slices.Contains(tokenizerFiles, name)
}

func isCheckpoint(name string) bool {
	return path.Ext(name) == ".safetensors" || path.Ext(name) == ".gguf"
}

// checkpoint is where Open has the files that were given.
const checkpoint = "checkpoint/"

// Open opens a file of the pipeline.
func (m *Model) Open(name string) (safetensors.Blob, error) {
	for _, f := range m.files {
		if name == checkpoint+f.Name {
			return f.Open()
		}
	}
	if m.configs != nil {
		return m.configs.Open(name)
	}
	b, ok := m.made[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return made{bytes.NewReader(b)}, nil
}

// List names the files in a folder.
func (m *Model) List(folder string) (names []string, err error) {
	if m.configs != nil {
		return m.configs.List(folder)
	}
	for name := range m.made {
		if dir, base := path.Split(name); strings.TrimSuffix(dir, "/") == folder {
			names = append(names, base)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Weights is the set of a component.
func (m *Model) Weights(component string) (*safetensors.Set, error) {
	set := m.sets[component]
	if set == nil {
		return nil, fmt.Errorf("%w: the configs have a %s, and no file has its weights: give the file that has them too", ErrMissing, component)
	}
	return set, nil
}

// Close closes the files.
func (m *Model) Close() error {
	var errs []error
	for _, s := range m.opened {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

func (m *Model) read(name string) ([]byte, error) { return readAll(m.configs.Open(name)) }

// maxSmall bounds what is read whole.
const maxSmall = 16 << 20

func readAll(b safetensors.Blob, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if b.Size() > maxSmall {
		return nil, fmt.Errorf("%d bytes are more than %d", b.Size(), maxSmall)
	}
	return io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
}

// made is a file that was made here.
type made struct{ *bytes.Reader }

// Close does nothing.
func (made) Close() error { return nil }

// Stamp is the hash of what is in it.
func (m made) Stamp() (stamp string, fixed bool, err error) {
	h := sha256.New()
	_, err = io.Copy(h, io.NewSectionReader(m, 0, m.Size()))
	return fmt.Sprintf("%x", h.Sum(nil)), true, err
}
