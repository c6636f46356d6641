package main

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/hack-pad/safejs"

	"wisp/loader/pack"
	"wisp/loader/safetensors"
	"wisp/loader/single"
	"wisp/wasm/bridge"
)

// folder is a [pack.Input] of the visitor's files, by their paths below the
// model's own directory.
type folder map[string]bridge.Blob

// indexName is the file that makes a directory a pipeline.
const indexName = "model_index.json"

// newInput finds the model among the visitor's files, and names it: a pipeline
// directory, at any depth, or checkpoints without configs, beside the directory
// of a pipeline that has no weights of its own, where there is one.
func newInput(ctx context.Context, list safejs.Value) (in pack.Input, name string, err error) {
	all, err := readList(ctx, list)
	if err != nil {
		return nil, "", err
	}
	root, err := all.root()
	if err != nil {
		return nil, "", err
	}
	if root == "" {
		return all.single(nil)
	}
	model := all.below(root)
	if model.hasWeights() && len(all.named(".gguf")) == 0 || len(all.checkpoints()) == 0 {
		return model, nameOf(path.Base(root)), nil // what it lacks is told by package pack
	}
	return all.single(model)
}

// single is a pipeline of the checkpoints among the files.
func (f folder) single(configs single.Configs) (in pack.Input, name string, err error) {
	var files []single.File
	for _, file := range f.filter(func(name string) bool { return single.Wanted(path.Base(name)) }) {
		as := file
		if !slices.Contains(f.checkpoints(), file) {
			as = path.Base(file)
		}
		files = append(files, single.File{Name: as, Open: func() (safetensors.Blob, error) { return f.Open(file) }})
	}
	s, err := single.Open(files, configs)
	if err != nil {
		return nil, "", wrong(err)
	}
	base := path.Base(s.Checkpoint())
	return s, strings.TrimSuffix(base, path.Ext(base)), nil
}

func nameOf(base string) string {
	if base == "." {
		return "model"
	}
	return base
}

// readList reads an array of [path, Blob].
func readList(ctx context.Context, list safejs.Value) (folder, error) {
	n, err := list.Length()
	if err != nil {
		return nil, fmt.Errorf("%w: files is not a list", bridge.ErrBadRequest)
	}
	all := folder{}
	for i := range n {
		pair, err := list.Index(i)
		if err != nil {
			return nil, err
		}
		var name string
		var b bridge.Blob
		text, err := pair.Index(0)
		if err == nil {
			name, err = text.String()
		}
		if err == nil {
			var value safejs.Value
			if value, err = pair.Index(1); err == nil {
				b, err = bridge.NewBlob(ctx, name, value)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%w: file %d is not a path and a Blob", bridge.ErrBadRequest, i)
		}
		all[path.Clean(strings.TrimLeft(name, "/"))] = b
	}
	return all, nil
}

// root is the directory of the pipeline, the least deep one; "" where there are
// checkpoints and no configs.
func (f folder) root() (string, error) {
	var roots []string
	for name := range f {
		if path.Base(name) == indexName {
			roots = append(roots, path.Dir(name))
		}
	}
	depth := func(dir string) int { return strings.Count("/"+path.Clean("/"+dir), "/") }
	slices.SortFunc(roots, func(a, b string) int {
		if d := depth(a) - depth(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	switch {
	case len(roots) == 0:
		return "", f.noPipeline()
	case len(roots) > 1 && depth(roots[0]) == depth(roots[1]):
		return "", fmt.Errorf("%w: %s and %s", errSeveral, roots[0], roots[1])
	}
	return roots[0], nil
}

// noPipeline says what the files are instead of a pipeline, unless they are
// checkpoints alone.
func (f folder) noPipeline() error {
	checkpoints, pickles := f.checkpoints(), f.filter(safetensors.Pickled)
	switch {
	case len(checkpoints) == 0 && len(pickles) > 0:
		return fmt.Errorf("%s: %w", pickles[0], safetensors.ErrPickle)
	case len(checkpoints) == 0:
		return fmt.Errorf("%w: %d files, %s not among them", errNothing, len(f), indexName)
	case len(f.named("config.json")) > 0:
		return fmt.Errorf("%w: only a part of a pipeline, %s", errNothing, checkpoints[0])
	}
	return nil
}

// checkpoints lists the files with weights.
func (f folder) checkpoints() []string {
	return f.filter(func(name string) bool { return path.Ext(name) == ".safetensors" || path.Ext(name) == ".gguf" })
}

// named lists the files whose names end so.
func (f folder) named(end string) []string {
	return f.filter(func(name string) bool { return strings.HasSuffix(name, end) })
}

func (f folder) filter(want func(name string) bool) (names []string) {
	for name := range f {
		if want(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// below is the folder of that name.
func (f folder) below(root string) folder {
	if root == "." {
		return f
	}
	in := folder{}
	for name, b := range f {
		if rest, ok := strings.CutPrefix(name, root+"/"); ok {
			in[rest] = b
		}
	}
	return in
}

// hasWeights reports whether a component has a checkpoint.
func (f folder) hasWeights() bool {
	return slices.ContainsFunc(f.named(".safetensors"), func(name string) bool { return strings.Contains(name, "/") })
}

// Open opens a file.
func (f folder) Open(name string) (safetensors.Blob, error) {
	b, ok := f[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return b, nil
}

// List names the files in a folder.
func (f folder) List(dir string) (names []string, err error) {
	for _, name := range f.filter(func(name string) bool { return strings.TrimSuffix(path.Dir(name), ".") == dir }) {
		names = append(names, path.Base(name))
	}
	return names, nil
}
