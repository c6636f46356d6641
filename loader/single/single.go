// Package single makes a pipeline of checkpoints as model sites offer them: one
// file with all networks, or several with one each, under the names of CompVis,
// Stability, kohya's scripts or ComfyUI, and without any config. The names tell
// the kind, the shapes the sizes, and what neither tells is built in, CLIP's
// vocabulary too. It is an input of package loader/pack; it knows of files and
// configs, not of engines. Start at [Open].
package single

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"wisp/loader/safetensors"
)

// ErrSeveral: there is more than one denoiser among the files.
var ErrSeveral = errors.New("several models")

// ErrMissing: the files lack a network that the pipeline needs.
var ErrMissing = errors.New("a part of the model is missing")

// File is a file that was given: a checkpoint, or one of a tokenizer's.
type File struct {
	Name string // its base name
	Open func() (safetensors.Blob, error)
}

// Configs is where configs are taken from in place of the built-in ones, and
// the networks that the files lack.
type Configs interface {
	Open(name string) (safetensors.Blob, error)
	List(folder string) ([]string, error)
}

// Model is checkpoints as a pipeline. It is an input of package loader/pack.
type Model struct {
	files   []File
	opened  []*safetensors.Set
	configs Configs // nil for built-in ones
	made    map[string][]byte
	sets    map[string]*safetensors.Set // by component
	notes   []string
	others  []string // checkpoints among the configs

	checkpoint string
}

// Open recognises the checkpoints among the files and makes a pipeline of them.
// A network in a file of its own is taken in place of one in a file with a
// denoiser, and a later file's in place of an earlier one's. Configs may be nil. Close ends the use of the files.
func Open(files []File, configs Configs) (*Model, error) {
	m := &Model{configs: configs, made: map[string][]byte{}, sets: map[string]*safetensors.Set{}}
	if err := m.open(files); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Model) open(files []File) error {
	m.files = files
	found := map[role]part{}
	marks := map[string]mark{}
	var whole, alone []part // of files with a denoiser, and of others
	for _, f := range files {
		if !isCheckpoint(f.Name) {
			continue
		}
		some, left, err := m.openOne(f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if len(marks) == 0 {
			marks = left
		} else {
			maps.Copy(marks, left)
		}
		if slices.ContainsFunc(some, func(p part) bool { return p.role.denoises() }) {
			whole = append(whole, some...)
		} else {
			alone = append(alone, some...)
		}
	}
	for _, p := range append(whole, alone...) {
		if err := m.take(found, p); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		return fmt.Errorf("%w: there is no .safetensors or .gguf file", ErrMissing)
	}
	m.checkpoint = append(whole, alone...)[0].file
	pl, err := pipelineOf(found, marks)
	if err != nil {
		return err
	}
	return m.assemble(pl, found)
}

// openOne finds the networks in a checkpoint, and what belongs to none.
func (m *Model) openOne(f File) ([]part, map[string]mark, error) {
	set, err := safetensors.OpenSet(f.Name, func(string) (safetensors.Blob, error) { return f.Open() })
	if err != nil {
		return nil, nil, err
	}
	m.opened = append(m.opened, set)
	if len(set.Tensors) == 0 {
		return nil, nil, fmt.Errorf("%w: it is empty", ErrUnknown)
	}
	some, left, err := parts(f.Name, set)
	if err != nil {
		return nil, nil, err
	}
	m.report(f.Name, left)
	marks := make(map[string]mark, len(left))
	for _, name := range left {
		t, _ := find(set, name)
		marks[name] = mark{set, t}
	}
	return some, marks, nil
}

// take notes a part, in place of one that a file before it has. There must be
// one denoiser.
func (m *Model) take(found map[role]part, p part) error {
	if p.role == clip { // its width tells which
		switch w := dim(p.set, "text_model.embeddings.position_embedding.weight", 1); {
		case w <= 768:
			p.role = clipL
		case w >= 1280:
			p.role = clipG
		}
	}
	for _, was := range found {
		if p.role.denoises() && was.role.denoises() {
			return fmt.Errorf("%w: %s and %s", ErrSeveral, was.file, p.file)
		}
	}
	if was, ok := found[p.role]; ok && was.file != p.file {
		m.notes = append(m.notes, fmt.Sprintf("the %s is that of %s, not that of %s", p.role, p.file, was.file))
	}
	found[p.role] = p
	return nil
}

// report tells of the tensors that nothing reads: by their first words.
func (m *Model) report(file string, left []string) {
	groups := map[string]int{}
	for _, name := range left {
		head, _, deep := strings.Cut(name, ".")
		if deep {
			head += ".*"
		}
		groups[head]++
	}
	var list []string
	for _, head := range slices.Sorted(maps.Keys(groups)) {
		if groups[head] > 1 {
			head = fmt.Sprintf("%s (%d)", head, groups[head])
		}
		list = append(list, head)
	}
	if len(list) > 20 {
		list = append(list[:20], fmt.Sprintf("and %d more", len(list)-20))
	}
	if len(list) > 0 {
		m.notes = append(m.notes, fmt.Sprintf("%s: left out, since nothing reads it: %s", file, strings.Join(list, ", ")))
	}
}

// assemble gives the parts their components.
func (m *Model) assemble(pl *pipeline, found map[role]part) error {
	m.notes = append([]string{pl.what}, append(pl.notes, m.notes...)...)
	used := map[role]bool{}
	var missing []string
	for _, c := range pl.components {
		p, ok := found[c.role]
		if !ok && c.or != "" {
			p, ok = found[c.or]
		}
		if !ok {
			set, err := m.weights(c.name)
			if err != nil {
				return fmt.Errorf("the configs' %s: %w", c.name, err)
			}
			p, ok = part{role: c.role, file: c.name, set: set}, set != nil
		}
		if !ok && c.optional {
			pl.index[c.name] = [2]*string{}
			continue
		}
		if !ok {
			missing = append(missing, fmt.Sprintf("%s (%s)", c.role, c.name))
			continue
		}
		used[p.role] = true
		pl.index[c.name] = [2]*string{&c.library, &c.class}
		if err := m.component(pl, c, p); err != nil {
			return fmt.Errorf("%s: %w", p.file, err)
		}
	}
	if err := m.tokenizers(pl); err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %s, and there is no %s: give the file that has it too", ErrMissing, pl.what, strings.Join(missing, ", no "))
	}
	for r, p := range found {
		if !used[r] {
			m.notes = append(m.notes, fmt.Sprintf("%s: the %s is left out, since the pipeline has none", p.file, r))
		}
	}
	pl.index["scheduler"] = []string{"diffusers", pl.scheduler["_class_name"].(string)}
	m.made["model_index.json"] = encode(pl.index)
	m.made["scheduler/scheduler_config.json"] = encode(pl.scheduler)
	return nil
}

// weights is the set of a component in the directory that configs are taken
// from; nil where that has none.
func (m *Model) weights(component string) (*safetensors.Set, error) {
	if m.configs == nil {
		return nil, nil
	}
	names, err := m.configs.List(component)
	if err != nil {
		return nil, err
	}
	best, also := safetensors.Best(names)
	switch {
	case also != "":
		return nil, fmt.Errorf("%s and %s are variants of which neither is the usual one", best, also)
	case best == "":
		return nil, nil
	}
	set, err := safetensors.OpenSet(best, func(name string) (safetensors.Blob, error) {
		name = component + "/" + name
		m.others = append(m.others, name)
		return m.configs.Open(name)
	})
	if err != nil {
		return nil, err
	}
	m.opened = append(m.opened, set)
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor { return []safetensors.Tensor{t} }) // which may be closed
}

// component makes a component's config, unless there is one, and takes from the
// part what the config wants.
func (m *Model) component(pl *pipeline, c component, p part) error {
	config := c.config(p.set)
	m.made[c.name+"/config.json"] = encode(config)
	if m.configs != nil {
		given, err := m.read(c.name + "/config.json")
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a component that these configs have not
		}
		config = map[string]any{}
		if err == nil {
			err = json.Unmarshal(given, &config)
		}
		if err != nil {
			return fmt.Errorf("the configs: %w", err)
		}
	}
	set := p.set
	if c.role == clip || c.role == clipL || c.role == clipG {
		var err error
		if set, err = trimText(set, config, c.identity); err != nil {
			return err
		}
	}
	m.sets[c.name] = set
	return nil
}

// tokenizers makes CLIP's, and takes others from the files that were given.
func (m *Model) tokenizers(pl *pipeline) error {
	for folder, pad := range pl.tokenizers {
		clipTokenizer(m.made, folder, pad)
		pl.index[folder] = []string{"transformers", "CLIPTokenizer"}
	}
	switch {
	case pl.words != "":
		pl.index[pl.words] = []string{"transformers", "Qwen2TokenizerFast"}
		return m.vocabulary(pl, pl.words, "text_encoder", "tokenizer.json, or vocab.json and merges.txt")
	case pl.t5 != "" && pl.index["text_encoder"+strings.TrimPrefix(pl.t5, "tokenizer")] != ([2]*string{}):
		pl.index[pl.t5] = []string{"transformers", "T5TokenizerFast"}
		return m.vocabulary(pl, pl.t5, "text_encoder"+strings.TrimPrefix(pl.t5, "tokenizer"), "tokenizer.json or spiece.model")
	}
	return nil
}

// vocabulary takes a tokenizer from the files that were given, or from the text
// encoder's own file, which has it where it is GGUF.
func (m *Model) vocabulary(pl *pipeline, folder, encoder, which string) error {
	if set := m.sets[encoder]; set != nil {
		if err := vocabulary(m.made, folder, set); err != nil {
			return err
		}
	}
	for _, f := range m.files {
		if slices.Contains(tokenizerFiles, f.Name) {
			b, err := readAll(f.Open())
			if err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
			m.made[folder+"/"+f.Name] = b
		}
	}
	for _, name := range []string{"spiece.model", "tokenizer.json", "vocab.json"} {
		if m.configs != nil || m.made[folder+"/"+name] != nil {
			return nil
		}
	}
	return fmt.Errorf("%w: %s, and there is no vocabulary of its text encoder: give its %s too", ErrMissing, pl.what, which)
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of maps, slices, numbers and strings
	}
	return b
}

// dim is an extent of a tensor's shape, 0 where there is none.
func dim(set *safetensors.Set, name string, axis int) int {
	t, ok := find(set, name)
	if !ok || axis >= len(t.Shape) {
		return 0
	}
	return t.Shape[axis]
}

// trimText drops what the config of a text encoder has not: layers beyond its
// own, the projection. Identity puts the identity in the projection's place.
func trimText(set *safetensors.Set, config map[string]any, identity bool) (*safetensors.Set, error) {
	layers, ok := number(config["num_hidden_layers"])
	if !ok {
		layers = 12 // CLIPTextConfig's default
	}
	projection := strings.Contains(fmt.Sprint(config["architectures"]), "WithProjection")
	return set.Map(func(t safetensors.Tensor) []safetensors.Tensor {
		if rest, ok := strings.CutPrefix(t.Name, "text_model.encoder.layers."); ok {
			if n := 0; !scan(rest, &n) || n >= layers {
				return nil
			}
		}
		if strings.HasPrefix(t.Name, "text_projection") && (!projection || identity) {
			return nil
		}
		if identity && t.Name == "text_model.embeddings.position_embedding.weight" && len(t.Shape) == 2 && t.Shape[0] > 0 && t.Shape[1] <= maxWidth {
			width := t.Shape[1]
			eye := t
			eye.Name, eye.Shape, eye.Size, eye.View = "text_projection.weight", []int{width, width}, t.Size/int64(t.Shape[0])*int64(width), safetensors.View{Identity: true}
			return []safetensors.Tensor{t, eye}
		}
		return []safetensors.Tensor{t}
	})
}

// maxWidth bounds the matrix that is made: no CLIP is a quarter as wide.
const maxWidth = 1 << 13

func scan(text string, n *int) bool {
	_, err := fmt.Sscanf(text, "%d.", n)
	return err == nil && *n >= 0
}

// number is what JSON or this package has for an integer.
func number(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case float64:
		return int(v), true
	}
	return 0, false
}
